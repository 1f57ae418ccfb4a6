"""Labelling of reviews by a language model: packs, requests, retries, limits, budget and ledger."""
