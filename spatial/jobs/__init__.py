"""Jobs (任务): running an analysis, durable job rows, and the workers that execute them."""
