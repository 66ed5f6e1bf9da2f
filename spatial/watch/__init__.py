"""The watch over new scenes (新影像监测): what happens when a scene arrives, once or on a schedule."""
