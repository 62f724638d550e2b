"""The config: typed models with defaults and limits, read strictly, resolved for each rule."""
