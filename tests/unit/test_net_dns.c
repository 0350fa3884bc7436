#include "vmm/network/dns.h"
#include "vmm/network/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { TAIL = 11 }; /* the option at the end of a query */

static struct dns_question question;
static uint8_t message[DNS_ANSWER_MAX];

static int ask_for(const char *wire, size_t wire_size, uint16_t type)
{
	uint8_t text[DNS_QUERY_MAX] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
	size_t size = DNS_HEADER_SIZE;

	memcpy(text + size, wire, wire_size);
	size += wire_size;
	text[size++] = (uint8_t)(type >> 8);
	text[size++] = (uint8_t)type;
	text[size++] = 0;
	text[size++] = 1;
	return dns_parse_question(text, size, &question);
}

#define ASK(wire, type) ask_for(wire, sizeof(wire), type)

static void a_question_is_asked_anew(void **state)
{
	uint8_t query[DNS_QUERY_MAX];
	struct dns_question again;

	(void)state;
	assert_int_equal(ASK("\3WwW\7example\3org", DNS_A), DNS_NO_ERROR);
	assert_string_equal(question.name, "www.example.org");
	assert_int_equal(question.id, 0x1234);
	assert_int_equal(dns_parse_question(query, dns_make_query(query, &question, 7), &again), DNS_NO_ERROR);
	assert_memory_equal(again.wire, "\3www\7example\3org", 17);
	assert_int_equal(again.id, 7);
	assert_int_equal(ASK("", DNS_NS), DNS_NO_ERROR);
	assert_string_equal(question.name, "");
}

static void what_is_no_name_is_refused(void **state)
{
	char longest[140] = { 63 };

	(void)state;
	assert_int_equal(ASK("\3a b\3org", DNS_A), DNS_FORMAT_ERROR);
	assert_int_equal(ASK("\3a.b\3org", DNS_A), DNS_FORMAT_ERROR);
	assert_int_equal(ASK("\3a\0b\3org", DNS_A), DNS_FORMAT_ERROR);
	assert_int_equal(ASK("\xc0\x0c", DNS_A), DNS_FORMAT_ERROR);
	assert_int_equal(ASK("\x40zzz", DNS_A), DNS_FORMAT_ERROR);
	memset(longest + 1, 'a', 63);
	longest[64] = 63;
	memset(longest + 65, 'a', 63);
	assert_int_equal(ask_for(longest, 129, DNS_A), DNS_NO_ERROR); /* 127 bytes */
	longest[64] = 62;
	longest[127] = 3;
	memset(longest + 128, 'a', 3);
	assert_int_equal(ask_for(longest, 132, DNS_A), DNS_FORMAT_ERROR); /* 130 */
	for (size_t size = 0; size < DNS_HEADER_SIZE; size++)
		assert_true(dns_parse_question(message, size, &question) < 0);
}

static bool is_allowed(void *opaque, const char *name)
{
	return !opaque || strcmp(name, opaque) != 0;
}

/* An answer to the question with these records. */
static size_t answer_with(const char *records, size_t size, uint8_t n)
{
	const size_t head = dns_make_query(message, &question, 99) - TAIL;

	message[2] = 0x81;
	message[3] = 0x80;
	message[7] = n;
	message[11] = 0;
	memcpy(message + head, records, size);
	return head + size;
}

#define ANSWER(records, n) answer_with(records, sizeof(records) - 1, n)

static struct dns_answer answer;

/* What becomes of the message as an answer, where one name may not be resolved; NULL: each may. */
static int take(size_t size, const char *denied)
{
	return dns_take_answer(message, size, &question, 99, is_allowed, (void *)denied, &answer);
}

/* The message leads to one address, 1.2.3.4, for so many seconds. */
static void check_learned(size_t size, uint32_t seconds)
{
	assert_int_equal(take(size, NULL), (int)size);
	assert_int_equal(answer.n_addresses, 1);
	assert_int_equal(answer.addresses[0], 0x01020304);
	assert_int_equal(answer.seconds, seconds);
}

static void addresses_are_learned_along_the_aliases(void **state)
{
	static const char records[] = "\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\1c\xc0\x10" /* www.example.org is c.example.org */
				      "\1c\xc0\x10\0\1\0\1\0\0\0\x0a\0\4\1\2\3\4"
				      "\4evil\0\0\1\0\1\0\0\0\x0a\0\4\5\6\7\x08"; /* beside the way */
	size_t size;

	(void)state;
	assert_int_equal(ASK("\3WWW\7example\3org", DNS_A), DNS_NO_ERROR);
	check_learned(ANSWER(records, 3), 10);
	assert_memory_equal(message, "\x12\x34", 2);
	assert_memory_equal(message + DNS_HEADER_SIZE, "\3WWW\7example", 12); /* as the guest wrote it */
	size = ANSWER(records, 3);
	assert_int_equal(take(size, "c.example.org"), -DNS_REFUSED);
}

static void aliases_may_stand_in_any_order(void **state)
{
	static const char records[] = "\1b\xc0\x10\0\1\0\1\0\0\0\x1e\0\4\1\2\3\4"
				      "\1a\xc0\x10\0\5\0\1\0\0\0\x1e\0\4\1b\xc0\x10"
				      "\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\1a\xc0\x10";
	static const char circle[] = "\xc0\x0c\0\5\0\1\0\0\0\x1e\0\4\1a\xc0\x10"
				     "\1a\xc0\x10\0\5\0\1\0\0\0\x1e\0\2\xc0\x0c";
	size_t size;

	(void)state;
	assert_int_equal(ASK("\3www\7example\3org", DNS_A), DNS_NO_ERROR);
	check_learned(ANSWER(records, 3), 30);
	for (int i = 0; i < 2; i++) {
		size = ANSWER(records, 3);
		assert_int_equal(take(size, i ? "b.example.org" : "a.example.org"), -DNS_REFUSED);
	}
	size = ANSWER(circle, 2);
	assert_int_equal(take(size, NULL), (int)size);
	assert_int_equal(answer.n_addresses, 0);
}

static void answers_to_others_are_none(void **state)
{
	size_t size;

	(void)state;
	assert_int_equal(ASK("\3www\7example\3org", DNS_A), DNS_NO_ERROR);
	size = ANSWER("", 0);
	assert_int_equal(dns_take_answer(message, size, &question, 98, is_allowed, NULL, &answer), 0);
	message[13] = 'x'; /* another name */
	assert_int_equal(take(size, NULL), 0);
	size = ANSWER("", 1); /* a record that is not there */
	assert_int_equal(take(size, NULL), 0);
	size = ANSWER("\xc0\x21\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 1); /* a pointer to itself */
	assert_int_equal(take(size, NULL), 0);
	size = ANSWER("\xc0\xff\0\1\0\1\0\0\0\1\0\4\1\2\3\4", 1); /* out of the message */
	assert_int_equal(take(size, NULL), 0);
	size = ANSWER("\xc0\x0c\0\1\0\1\0\0\0\1\0\x40\1\2\3\4", 1); /* longer than the message */
	assert_int_equal(take(size, NULL), 0);
}

static void names_end_and_make_room(void **state)
{
	static struct names names;
	const int64_t second = 1000000000;
	struct dns_answer learned = { .n_addresses = 1, .addresses = { 7 }, .seconds = 1 };

	(void)state;
	names_learn(&names, "a", &learned, second);
	assert_string_equal(names_find(&names, 7, 60 * second), "a"); /* programs keep addresses for a while */
	assert_null(names_find(&names, 7, 62 * second));
	assert_null(names_find(&names, 0, second));
	learned.seconds = 1000;
	for (uint32_t i = 0; i < NAMES_MAX; i++) {
		learned.addresses[0] = 100 + i;
		names_learn(&names, "b", &learned, second);
	}
	assert_null(names_find(&names, 7, second));
	assert_string_equal(names_find(&names, 100, second), "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_asked_anew),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(addresses_are_learned_along_the_aliases),
		cmocka_unit_test(aliases_may_stand_in_any_order),
		cmocka_unit_test(answers_to_others_are_none),
		cmocka_unit_test(names_end_and_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
