/*
 * What ARM clients ask for around the pools: the resource provider, the environment, operations that take their time,
 * and the role that az gives to who makes a pool. It is what is so here, in ARM's words; none of it is kept.
 */
#include "api/json.h"
#include "api/pool_resource.h"
#include "api/rest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* "Azure ContainerApps Session Executor" */
#define EXECUTOR_ROLE "0fb8eba5-a2bb-4abe-b1c1-49dfad359bb0"

/* ---- the provider ------------------------------------------------------------------------------------------------ */

/* az makes pools in a location of this list only. Here all of them are this machine. */
static const char *const locations[] = {
	"Local",
	"Australia East",
	"Australia Southeast",
	"Brazil South",
	"Canada Central",
	"Canada East",
	"Central India",
	"Central US",
	"Central US EUAP",
	"East Asia",
	"East US",
	"East US 2",
	"East US 2 EUAP",
	"France Central",
	"Germany West Central",
	"Israel Central",
	"Italy North",
	"Japan East",
	"Japan West",
	"Korea Central",
	"North Central US",
	"North Central US (Stage)",
	"North Europe",
	"Norway East",
	"Poland Central",
	"South Africa North",
	"South Central US",
	"South India",
	"Southeast Asia",
	"Spain Central",
	"Sweden Central",
	"Switzerland North",
	"Switzerland West",
	"UAE North",
	"UK South",
	"UK West",
	"West Central US",
	"West Europe",
	"West India",
	"West US",
	"West US 2",
	"West US 3",
};

static json_t *locations_json(void)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++)
		json_array_append_new(array, json_string(locations[i]));
	return array;
}

static json_t *versions_json(void)
{
	static const char versions[] = POOL_API_VERSIONS;
	json_t *array = json_array();

	for (const char *at = versions; *at;) {
		size_t length = strcspn(at, ",");

		json_array_append_new(array, json_stringn(at, length));
		at += length + strspn(at + length, ", ");
	}
	return array;
}

static json_t *type_json(const char *name)
{
	return json_pack("{s:s, s:o, s:o}", "resourceType", name, "locations", locations_json(), "apiVersions",
			 versions_json());
}

/* The request's own path; NULL if there is no memory. */
static json_t *path_json(const struct http_request *r)
{
	struct buffer path = { 0 };
	json_t *json;

	for (size_t i = 0; i < r->url.n_segments; i++) {
		buffer_put_text(&path, "/");
		url_put_encoded(&path, r->url.segments[i]);
	}
	json = path.failed ? NULL : json_stringn(path.data, path.size);
	buffer_fini(&path);
	return json;
}

void rest_arm_get_provider(struct service *s, struct http_request *r)
{
	(void)s;
	if (!rest_check_version(r))
		return;
	rest_json(r, 200,
		  json_pack("{s:o, s:s, s:s, s:s, s:[o, o, o, o]}", "id", path_json(r), "namespace", "Microsoft.App",
			    "registrationState", "Registered", "registrationPolicy", "RegistrationRequired",
			    "resourceTypes", type_json("sessionPools"), type_json("managedEnvironments"),
			    type_json("locations/operationStatuses"), type_json("locations/operationResults")));
}

/* ---- environments and operations --------------------------------------------------------------------------------- */

/* False after an answer was given. */
static bool check_name(struct http_request *r)
{
	if (rest_is_printable(r->path_name))
		return true;
	rest_error(r, 400, "SessionRequestValidationFailed", "A resource's name has printable ASCII characters only.");
	return false;
}

/* az looks at the environment before it makes a pool in it. Whatever its name is, it is this machine. */
void rest_arm_get_environment(struct service *s, struct http_request *r)
{
	(void)s;
	if (rest_check_version(r) && check_name(r))
		rest_json(r, 200,
			  json_pack("{s:o, s:s, s:s, s:s, s:{s:s}}", "id", path_json(r), "name", r->path_name, "type",
				    "Microsoft.App/managedEnvironments", "location", locations[0], "properties",
				    "provisioningState", "Succeeded"));
}

void rest_arm_get_operation(struct service *s, struct http_request *r)
{
	(void)s;
	if (rest_check_version(r))
		rest_error(r, 404, "OperationNotFound",
			   "There is no such operation: a call about a session pool is over when it is answered.");
}

/* ---- roles ------------------------------------------------------------------------------------------------------- */

/* What a role assignment is about. */
struct assignment {
	const char *role; /* the path of its definition */
	const char *principal;
};

/* 0, or negative with *err filled. */
static int read_assignment(const json_t *body, struct assignment *a, struct error *err)
{
	const json_t *properties = json_find(body, "properties");

	if (!json_is_object(properties))
		return error_set(err, EINVAL, "The property 'properties' must be an object.");
	if (json_get_text(properties, "roleDefinitionId", &a->role, NULL, err) < 0 ||
	    json_get_text(properties, "principalId", &a->principal, NULL, err) < 0)
		return -err->code;
	if (!*a->role || !*a->principal)
		return error_set(err, EINVAL, "'roleDefinitionId' and 'principalId' are needed.");
	return 0;
}

static bool is_executor(const char *role)
{
	size_t length = strlen(role), wanted = strlen(EXECUTOR_ROLE);

	return length >= wanted && strcasecmp(role + length - wanted, EXECUTOR_ROLE) == 0;
}

/* Of the keys and of the administrator's token, which have no id in a directory, any principal is the caller. */
static bool is_caller(const struct http_request *r, const char *principal)
{
	const char *name = r->principal->name;

	return strncmp(name, "jwt:", 4) != 0 || strcasecmp(name + 4, principal) == 0;
}

static json_t *assignment_json(const struct http_request *r, const struct assignment *a)
{
	return json_pack("{s:o, s:s, s:s, s:{s:s, s:s}}", "id", path_json(r), "name", r->path_name, "type",
			 "Microsoft.Authorization/roleAssignments", "properties", "roleDefinitionId", a->role,
			 "principalId", a->principal);
}

/*
 * A token says its own role, so none can be given. What az asks for, that who makes a pool may run code in it, is so
 * already: who may call this is a manager of the pool.
 */
void rest_arm_put_role_assignment(struct service *s, struct http_request *r)
{
	struct pool *pool = rest_check_version(r) && check_name(r) ? rest_pool(s, r) : NULL;
	json_t *body = pool ? rest_body(r) : NULL;
	struct assignment a = { "", "" };
	struct error err = { 0 };

	if (!body)
		return;
	if (read_assignment(body, &a, &err) < 0)
		rest_error(r, 400, "SessionRequestValidationFailed", "%s", err.text);
	else if (!is_executor(a.role) || !is_caller(r, a.principal))
		rest_error(
			r, 409, "RoleAssignmentNotSupported",
			"Roles cannot be assigned: a token says its own. Make an API key with the role that is wanted "
			"(POST keys), or have the issuer put it into the token.");
	else
		rest_json(r, 201, assignment_json(r, &a));
	json_decref(body);
}
