/* Names: what a guest asks port 53 of the gateway. Questions are asked anew, of the host's resolvers. */
#include "vmm/network/gate.h"
#include "vmm/network/nanoseconds.h"

#include <string.h>
#include <sys/types.h>

enum { PORT = 53 };

static void log_name(struct gate *gate, const struct dns_question *question, struct verdict verdict, uint64_t received,
		     int64_t duration_ns, int64_t now_ns)
{
	const struct log_entry entry = {
		.protocol = "dns",
		.domain = question->name,
		.sent = question->wire_size,
		.received = received,
		.duration_ns = duration_ns,
		.verdict = verdict,
	};

	if (verdict.is_allowed)
		connection_log_write(&gate->log, &entry);
	else
		connection_log_denied(&gate->log, &entry, now_ns);
}

static void answer_with(struct gate *gate, uint16_t port, const struct dns_question *question, enum dns_code code)
{
	uint8_t *payload = gate_datagram_buffer(gate);
	const size_t size = dns_make_answer(payload, question, code);

	gate->output.to_guest(gate->output.opaque, gate->frame,
			      frame_make_udp(gate->frame, size, ADDRESS_GATEWAY, PORT, port));
}

static void refuse(struct gate *gate, uint16_t port, const struct dns_question *question, enum dns_code code,
		   enum reason reason, int64_t now_ns)
{
	log_name(gate, question, denied(reason), 0, 0, now_ns);
	answer_with(gate, port, question, code);
}

/* ---- questions that wait for an answer --------------------------------------------------------------------------- */

static struct gate_question *free_question(struct gate *gate)
{
	for (unsigned i = 0; i < GATE_QUESTIONS_MAX; i++)
		if (!gate->questions[i].is_used)
			return &gate->questions[i];
	return NULL;
}

static void forget(struct gate *gate, struct gate_question *question)
{
	question->is_used = false;
	gate->n_questions--;
}

/* Each attempt goes to the next resolver. False if none could be asked any more. */
static bool ask(struct gate *gate, struct gate_question *question, int64_t now_ns)
{
	uint8_t query[DNS_QUERY_MAX];

	while (question->attempts < GATE_QUESTION_ATTEMPTS) {
		question->id = gate->output.random(gate->output.opaque);
		question->asked_ns = now_ns;
		question->socket = gate->output.ask(gate->output.opaque, question->attempts++, query,
						    dns_make_query(query, &question->question, question->id));
		if (question->socket >= 0)
			return true;
	}
	return false;
}

static void give_up(struct gate *gate, struct gate_question *question, int64_t now_ns)
{
	refuse(gate, question->port, &question->question, DNS_SERVER_FAILURE, REASON_UNREACHABLE, now_ns);
	forget(gate, question);
}

static void begin(struct gate *gate, uint16_t port, const struct dns_question *asked, enum reason reason,
		  int64_t now_ns)
{
	struct gate_question *question = free_question(gate);

	if (!question || !rate_take(&gate->questions_rate, now_ns)) {
		refuse(gate, port, asked, DNS_REFUSED, question ? REASON_RATE : REASON_FULL, now_ns);
		return;
	}
	*question = (struct gate_question) {
		.is_used = true,
		.port = port,
		.began_ns = now_ns,
		.reason = reason,
		.question = *asked,
	};
	gate->n_questions++;
	if (!ask(gate, question, now_ns))
		give_up(gate, question, now_ns);
}

void gate_names_tick(struct gate *gate, int64_t now_ns)
{
	for (unsigned i = 0; gate->n_questions > 0 && i < GATE_QUESTIONS_MAX; i++) {
		struct gate_question *question = &gate->questions[i];

		if (question->is_used && now_ns - question->asked_ns >= GATE_QUESTION_SECONDS * NS_PER_SECOND &&
		    !ask(gate, question, now_ns))
			give_up(gate, question, now_ns);
	}
}

/* ---- from the guest ---------------------------------------------------------------------------------------------- */

void gate_name_from_guest(struct gate *gate, const struct packet *packet, int64_t now_ns)
{
	struct dns_question question;
	const int status = dns_parse_question(packet->payload, packet->payload_size, &question);
	struct verdict verdict;

	if (status < 0) {
		gate_log_denied(gate, "dns", packet, REASON_MALFORMED, now_ns);
		return;
	}
	if (status != DNS_NO_ERROR || dns_handling(question.type) == DNS_REFUSE) {
		refuse(gate, packet->source_port, &question,
		       status != DNS_NO_ERROR ? (enum dns_code)status : DNS_REFUSED, REASON_RESOLVER, now_ns);
		return;
	}
	verdict = policy_name(gate->policy, question.name);
	if (!verdict.is_allowed)
		refuse(gate, packet->source_port, &question, DNS_REFUSED, verdict.reason, now_ns);
	else if (dns_handling(question.type) == DNS_ANSWER_EMPTY)
		answer_with(gate, packet->source_port, &question, DNS_NO_ERROR);
	else
		begin(gate, packet->source_port, &question, verdict.reason, now_ns);
}

/* ---- from a resolver --------------------------------------------------------------------------------------------- */

/* An alias need not be allowed by name, since the name that leads there is; but it may be denied. */
static bool is_alias_allowed(void *opaque, const char *name)
{
	const struct policy *policy = opaque;
	const struct verdict verdict = policy_name(policy, name);

	return verdict.is_allowed || verdict.reason == REASON_DEFAULT;
}

static void answer(struct gate *gate, struct gate_question *question, const uint8_t *message, size_t size,
		   const struct dns_answer *found, int64_t now_ns)
{
	log_name(gate, &question->question, allowed(question->reason), size, now_ns - question->began_ns, now_ns);
	names_learn(&gate->names, question->question.name, found, now_ns);
	memcpy(gate_datagram_buffer(gate), message, size);
	gate->output.to_guest(gate->output.opaque, gate->frame,
			      frame_make_udp(gate->frame, size, ADDRESS_GATEWAY, PORT, question->port));
	forget(gate, question);
}

void gate_from_resolver(struct gate *gate, int socket, uint8_t *message, size_t size, int64_t now_ns)
{
	for (unsigned i = 0; i < GATE_QUESTIONS_MAX; i++) {
		struct gate_question *question = &gate->questions[i];
		struct dns_answer found;
		int status;

		if (!question->is_used || question->socket != socket)
			continue;
		status = dns_take_answer(message, size, &question->question, question->id, is_alias_allowed,
					 (void *)gate->policy, &found);
		if (status == 0)
			continue;
		if (status > 0) {
			answer(gate, question, message, (size_t)status, &found, now_ns);
		} else {
			refuse(gate, question->port, &question->question, DNS_REFUSED, REASON_DOMAIN, now_ns);
			forget(gate, question);
		}
		return;
	}
}
