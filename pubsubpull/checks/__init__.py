"""System checks of the settings, of published models and of the database, each with a remedy."""
