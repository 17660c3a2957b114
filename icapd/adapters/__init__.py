"""Adapters: what looks at messages. Protocol and life cycle here, one module for each that icapd ships."""
