"""Labels reviews with a language model: packs, requests, retries, limits, budget and ledger."""
