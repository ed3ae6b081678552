"""The operations of Volcengine Live over the domain."""
