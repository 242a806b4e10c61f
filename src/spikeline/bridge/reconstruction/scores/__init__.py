"""How like the shown images are those given back: features, measures, tables and galleries."""
