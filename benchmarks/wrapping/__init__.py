"""What wrapping costs: provider, meter, limits and guards beside the bare upstream."""
