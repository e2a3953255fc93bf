"""The reading edition: a static site of the lessons as they were executed, the ledger and the film."""
