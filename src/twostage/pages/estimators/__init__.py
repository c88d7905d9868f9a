"""The page that sets the stage-1 estimators side by side."""
