"""Telling others of alarms: MQTT, webhooks and e-mail, each at its own pace and none in the way of another."""
