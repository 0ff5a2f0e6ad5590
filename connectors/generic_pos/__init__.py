"""Any till: `hub.sale/1`, the hub's own documented JSON, signed by Standard Webhooks."""
