"""Bad input gets a clear refusal and never a 5xx: what is behind `make fuzz`."""
