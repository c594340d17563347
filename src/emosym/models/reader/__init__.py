"""What reads: a backbone with latent tokens and heads, from a conversation to latents and words."""
