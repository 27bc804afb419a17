"""Plans: which way to run a job meets a goal, and what each costs. Pure; facts come from the catalog."""
