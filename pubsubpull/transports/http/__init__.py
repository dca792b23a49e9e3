"""Messages over HTTP: templates, consent, signatures, guarded connections."""
