#ifndef HEARTH_API_EXECUTE_HEADERS_H
#define HEARTH_API_EXECUTE_HEADERS_H

#include "api/execution.h"
#include "api/http_request.h"

/*
 * Adds the x-ms-* headers that tell where the time went, and x-hearth-timing with the parts. `report` is
 * NULL for an answer that begins before the execution is over: what is not known yet is left out.
 */
void execute_headers_add(struct http_request *r, const struct execution_start *start,
			 const struct execution_report *report);

#endif
