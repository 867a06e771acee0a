"""Pages for the service manager: what to do first, over all customers."""
