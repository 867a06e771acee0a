"""Reads registers and bits of machines that speak Modbus."""
