"""What the controller shows at `/metrics`, a module for each subject."""
