"""What runs on a device or talks to one."""
