"""What people type to find images: read, and answered from columns of facts."""
