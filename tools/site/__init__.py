"""The reading edition: a static site of the executed lessons, the ledger and the film."""
