"""The desk of the river chief (河湖长制工作台): ledgers, cases and their workflow, patrols, assessment."""
