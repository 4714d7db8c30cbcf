/*
 * Tickets and join addresses as somebody pasted them: any text, or, by the first byte of the input, any bytes in the
 * right clothing (base64 and check). What is accepted as a ticket is written again in the same way.
 */
#include <sodium.h>

#include "core/sign.h"
#include "net/ticket.h"
#include "tests/fuzz/fuzz.h"

static void dress(struct sw_view body, struct sw_buf *out)
{
	struct sw_hash check;
	SW_BUF bytes = {0};
	size_t n;
	char *to;

	sw_hash_compute(SW_DOMAIN_TICKET, body, &check);
	sw_buf_put_view(&bytes, body);
	sw_buf_put(&bytes, check.b, 4);
	n = sodium_base64_ENCODED_LEN(bytes.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sw_buf_put(out, SW_TICKET_PREFIX, strlen(SW_TICKET_PREFIX));
	to = (char *)sw_buf_reserve(out, n);
	must(to != NULL);
	sodium_bin2base64(to, n, bytes.p, bytes.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->n += n; /* with its NUL */
}

static void read_join_address(const char *text)
{
	static struct sw_ticket t;
	int rc = sw_ticket_from_join_address(text, &t);

	must(rc == 0 || rc == SW_EFORMAT);
	if (rc < 0)
		return;
	must(t.asks && t.n_addresses == 1 && sw_ticket_is_join_address(text) == !sw_ticket_looks_like(text));
	must(strncmp(text, t.addresses[0], strlen(t.addresses[0])) == 0 && text[strlen(t.addresses[0])] == '#');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sw_ticket ticket;
	SW_BUF text = {0};
	SW_BUF again = {0};
	int rc;

	must(sw_crypto_init() == 0);
	if (size == 0)
		return 0;
	if (data[0] & 1) {
		dress(sw_view(data + 1, size - 1), &text);
	} else {
		sw_buf_put(&text, data + 1, size - 1);
		sw_buf_put_u8(&text, 0);
	}
	must(text.rc == 0);
	read_join_address((const char *)text.p);
	rc = sw_ticket_decode((const char *)text.p, &ticket);
	must(rc == 0 || rc == SW_EFORMAT || rc == SW_EVERSION);
	if (rc == 0) {
		must(ticket.n_addresses >= 1 && ticket.n_addresses <= SW_TICKET_ADDRESSES_MAX);
		sw_ticket_encode(&ticket, &again);
		must(again.rc == 0);
		must(sw_view_eq(sw_buf_view(&again), sw_view_str((const char *)text.p)));
	}
	sw_ticket_fini(&ticket);
	return 0;
}
