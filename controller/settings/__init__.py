"""The configuration file: the router's half (`router.settings`) and the controller's sections, a module each."""
