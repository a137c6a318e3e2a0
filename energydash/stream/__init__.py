"""The stream: the embedded broker, replay, publisher and subscriber."""
