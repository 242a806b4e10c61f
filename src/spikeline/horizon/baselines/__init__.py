"""Plain forecasts that any model has to beat: means, rates and a Poisson GLM."""
