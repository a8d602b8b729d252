"""A fleet over days: what each lever of the plan is worth on the same demand, prices and GPUs."""
