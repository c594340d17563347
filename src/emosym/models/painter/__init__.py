"""What paints: text encoders with places for latents, the diffusion model, and its sampling."""
