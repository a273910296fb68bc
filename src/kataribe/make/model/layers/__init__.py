"""What models are made of: attention, gated MLPs, experts, recurrent mixers."""
