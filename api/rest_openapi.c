/* GET openapi.json: the document of this API, which is api/openapi.json, in the program itself. */
#include "api/rest.h"

__asm__(".pushsection .rodata\n"
	".global openapi_document, openapi_document_end\n"
	"openapi_document:\n"
	".incbin \"api/openapi.json\"\n"
	"openapi_document_end:\n"
	".popsection\n");

extern const char openapi_document[], openapi_document_end[];

void rest_openapi_get(struct service *s, struct http_request *r)
{
	struct buffer body = { 0 };

	(void)s;
	buffer_put(&body, openapi_document, (size_t)(openapi_document_end - openapi_document));
	http_respond(r, 200, REST_JSON, &body);
}
