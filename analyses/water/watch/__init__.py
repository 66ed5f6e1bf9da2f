"""The watch over lakes and rivers (江河湖库监测): scenes in; bodies, series and events out."""
