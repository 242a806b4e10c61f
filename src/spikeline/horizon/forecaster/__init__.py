"""The network that forecasts any unit of any session: its parts, training and prediction."""
