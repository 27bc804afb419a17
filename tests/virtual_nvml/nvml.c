/* A driver library for machines without a GPU: answers pynvml from a file in which test jobs mark their busy time.
 * Only what mlscale asks for. Structures as in NVIDIA's nvml.h (12.x). */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef int ret;
enum { OK = 0, UNINIT = 1, INVALID = 2, UNSUPPORTED = 3, NOT_FOUND = 6, LOST = 15 };
struct head { uint32_t magic, gpus, init, gpm, lost, intensity; };
struct slot { volatile uint64_t busy_ns, since_ns; volatile uint32_t pid; uint32_t gap; volatile uint64_t until_ns; char pad[32]; };
static struct head *head;
static struct slot *slots;
#define KEEP 64
static struct { uint64_t t, busy; } history[8][KEEP];
static int at[8];

static uint64_t now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static uint64_t busy(int i, uint64_t t) {
    uint64_t s = slots[i].since_ns, u = slots[i].until_ns;
    if (u && t > u) t = u;
    return slots[i].busy_ns + (s && t > s ? t - s : 0);
}
static int index_of(void *h) { return (int)(intptr_t)h - 1; }
static ret check(void) { return !head ? UNINIT : head->lost ? LOST : OK; }
#define CHECK do { ret r = check(); if (r) return r; } while (0)

ret nvmlInit_v2(void) {
    const char *path = getenv("VIRTUAL_NVML_STATE");
    int fd = path ? open(path, O_RDONLY) : -1;
    if (fd < 0) return 9; /* driver not loaded */
    char *m = mmap(0, 64 * 9, PROT_READ, MAP_SHARED, fd, 0);
    if (m == MAP_FAILED) return 999;
    head = (struct head *)m;
    slots = (struct slot *)(m + 64);
    if (head->init) { ret r = head->init; head = 0; return r; }
    for (uint32_t i = 0; i < head->gpus; i++) { history[i][0].t = now(); history[i][0].busy = busy(i, now()); }
    return OK;
}
ret nvmlInitWithFlags(unsigned flags) { (void)flags; return nvmlInit_v2(); }
ret nvmlShutdown(void) { head = 0; return OK; }
const char *nvmlErrorString(ret r) {
    switch (r) {
    case OK: return "Success"; case UNINIT: return "Uninitialized"; case INVALID: return "Invalid Argument";
    case UNSUPPORTED: return "Not Supported"; case 4: return "Insufficient Permissions"; case NOT_FOUND: return "Not Found";
    case 9: return "Driver Not Loaded"; case LOST: return "GPU is lost"; default: return "Unknown Error"; }
}
ret nvmlSystemGetDriverVersion(char *v, unsigned n) { snprintf(v, n, "570.00 (virtual)"); return OK; }
ret nvmlDeviceGetCount_v2(unsigned *n) { CHECK; *n = head->gpus; return OK; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { CHECK; if (i >= head->gpus) return INVALID; *h = (void *)(intptr_t)(i + 1); return OK; }
ret nvmlDeviceGetName(void *h, char *v, unsigned n) { (void)h; CHECK; snprintf(v, n, "Virtual GPU"); return OK; }
struct memory { unsigned long long total, free, used; };
ret nvmlDeviceGetMemoryInfo(void *h, struct memory *m) { (void)h; CHECK; m->total = 16ull << 30; m->used = 4ull << 30; m->free = m->total - m->used; return OK; }
/* Busy share since the look before, over at least a sixth of a second, as the driver averages. */
static double share(int i) {
    uint64_t t = now(), b = busy(i, t);
    int k = at[i];
    for (int n = 0; n < KEEP - 1 && t - history[i][k].t < 166000000ull; n++) {
        int before = (k + KEEP - 1) % KEEP;
        if (!history[i][before].t) break;
        k = before;
    }
    double s = t > history[i][k].t ? (double)(b - history[i][k].busy) / (t - history[i][k].t) : 0;
    at[i] = (at[i] + 1) % KEEP;
    history[i][at[i]].t = t;
    history[i][at[i]].busy = b;
    return s > 1 ? 1 : s;
}
static double last[8];
struct rates { unsigned gpu, memory; };
ret nvmlDeviceGetUtilizationRates(void *h, struct rates *u) {
    CHECK; int i = index_of(h);
    last[i] = share(i);
    u->gpu = (unsigned)(last[i] * 100 + .5);
    u->memory = u->gpu / 2;
    return OK;
}
ret nvmlDeviceGetPowerUsage(void *h, unsigned *mw) { CHECK; *mw = 60000 + (unsigned)(290000 * last[index_of(h)] * head->intensity / 100); return OK; }
ret nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *mw) { (void)h; CHECK; *mw = 350000; return OK; }
ret nvmlDeviceGetClockInfo(void *h, int kind, unsigned *mhz) { (void)h; (void)kind; CHECK; *mhz = 1500; return OK; }
ret nvmlDeviceGetMaxClockInfo(void *h, int kind, unsigned *mhz) { (void)h; (void)kind; CHECK; *mhz = 1980; return OK; }
ret nvmlDeviceGetCurrentClocksThrottleReasons(void *h, unsigned long long *r) { (void)h; CHECK; *r = 0; return OK; }
ret nvmlDeviceGetMigMode(void *h, unsigned *a, unsigned *b) { (void)h; (void)a; (void)b; return UNSUPPORTED; }
ret nvmlDeviceGetPcieThroughput(void *h, int c, unsigned *kb) { (void)c; CHECK; *kb = (unsigned)(100000 * last[index_of(h)]); return OK; }
struct process { unsigned pid; unsigned long long used; unsigned gi, ci; };
ret nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, struct process *p) {
    CHECK; unsigned pid = slots[index_of(h)].pid;
    if (!pid) { *n = 0; return OK; }
    if (*n < 1) { *n = 1; return 7; }
    *n = 1; p->pid = pid; p->used = 1ull << 30; p->gi = p->ci = 0xFFFFFFFF;
    return OK;
}
struct support { unsigned version, supported; };
ret nvmlGpmQueryDeviceSupport(void *h, struct support *s) { (void)h; CHECK; s->supported = head->gpm; return OK; }
struct gpm { uint64_t t, busy[8]; };
ret nvmlGpmSampleAlloc(struct gpm **s) { *s = calloc(1, sizeof **s); return OK; }
ret nvmlGpmSampleFree(struct gpm *s) { free(s); return OK; }
ret nvmlGpmSampleGet(void *h, struct gpm *s) { CHECK; s->t = now(); s->busy[index_of(h)] = busy(index_of(h), s->t); s->busy[7] = index_of(h); return OK; }
struct metric { unsigned id; ret result; double value; struct { char *a, *b, *c; } info; };
struct request { unsigned version, count; struct gpm *one, *two; struct metric metrics[]; };
ret nvmlGpmMetricsGet(struct request *q) {
    CHECK; int i = (int)q->two->busy[7];
    double s = q->two->t > q->one->t ? (double)(q->two->busy[i] - q->one->busy[i]) / (q->two->t - q->one->t) : 0;
    for (unsigned n = 0; n < q->count; n++) {
        struct metric *m = &q->metrics[n];
        m->result = OK;
        m->value = m->id == 1 ? s * 100 : m->id >= 20 ? s * 1000 : s * head->intensity;
    }
    return OK;
}
