"""What happens, one file each. A workflow loads, asks the domain, saves; its caller opened the transaction and commits it."""
