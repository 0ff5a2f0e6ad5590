"""WooCommerce: orders, refunds and coupons of a WordPress shop over its REST API v3 and webhooks."""
