# shellcheck shell=bash
# The sample requests that `make run` prints. Sourced by dev/run, with API and TOKEN set.

ORDER='{"customer_email": "ada@example.com", "currency": "EUR", "items": [{"sku": "ABC-1234", "quantity": 2, "unit_price_cents": 1999}]}'
place() { curl --silent --fail "$API/v1/orders" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" "$@"; }
id=$(place -H "Idempotency-Key: sample-$(date +%s)" -d "$ORDER" | sed 's/.*"id":"\([^"]*\)".*/\1/') || die "the API did not accept an order; its log is above"
curl --silent --fail -X DELETE "$API/v1/orders/$id" -H "Authorization: Bearer $TOKEN" || die "the API did not cancel an order; its log is above"

cat >&2 <<TEXT
# 201: places an order. Sent again, the same response and no second order.
curl -i -w "\n" \$API/v1/orders -H "Authorization: Bearer \$TOKEN" -H "Idempotency-Key: my-first" -H "Content-Type: application/json" -d '$ORDER'
# 400: all validation errors in one response, each with its pointer
curl -i -w "\n" \$API/v1/orders -H "Authorization: Bearer \$TOKEN" -H "Idempotency-Key: my-second" -H "Content-Type: application/json" -d '{"customer_email": "ada", "currency": "euro", "items": []}'
# 404: alice has no such order
curl -i -w "\n" \$API/v1/orders/01981f6e-7c1a-7a3e-9d55-3a0a2b6f6c10 -H "Authorization: Bearer \$TOKEN"
# 410: an order that was just placed and cancelled
curl -i -w "\n" \$API/v1/orders/$id -H "Authorization: Bearer \$TOKEN"
# 429: more requests than an address may send without a token
curl -s -o /dev/null -w '%{http_code}\n' "\$API/info?[1-300]" | sort | uniq -c
# 202: the worker builds a report; its job is at the Location of the response
curl -i -w "\n" \$API/v1/reports -H "Authorization: Bearer \$TOKEN" -H "Idempotency-Key: my-report" -H "Content-Type: application/json" -d '{"from": "2026-01-01", "to": "2026-12-31"}'
# 502, then 503: the supplier fails; after repeated failures the circuit breaker opens
curl -X PUT http://127.0.0.1:$SUPPLIER_SWITCHES/faults/quotes -H "Content-Type: application/json" -d '{"kind": "status", "status": 500}'
curl -i -w "\n" \$API/v1/quotes -H "Authorization: Bearer \$TOKEN" -H "Content-Type: application/json" -d '{"currency": "EUR", "items": [{"sku": "ABC-1234", "quantity": 2}]}'

TEXT
