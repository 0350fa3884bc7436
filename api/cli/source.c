#include "source.h"
#include "common/cleanup.h"
#include "exit_status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *extension;
	const char *language;
} extensions[] = {
	{ ".py", "python" }, { ".js", "node" },  { ".mjs", "node" },
	{ ".cjs", "node" },  { ".sh", "shell" }, { ".bash", "shell" },
};

const char *source_language_of_name(const char *name)
{
	const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
	const char *extension = strrchr(base, '.');

	for (size_t i = 0; extension && i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (strcasecmp(extension, extensions[i].extension) == 0)
			return extensions[i].language;
	return NULL;
}

const char *source_language_of_shebang(const char *code, size_t size)
{
	const char *end = size ? memchr(code, '\n', size) : NULL;
	size_t line_size = end ? (size_t)(end - code) : size;

	if (line_size < 2 || memcmp(code, "#!", 2) != 0)
		return NULL;
	if (memmem(code, line_size, "python", 6))
		return "python";
	if (memmem(code, line_size, "node", 4))
		return "node";
	if (memmem(code, line_size, "bash", 4) || memmem(code, line_size, "/sh", 3))
		return "shell";
	return NULL;
}

/* How many bytes the character at `text` has, or 0 if it is not well-formed. */
static size_t utf8_character(const uint8_t *text, size_t size)
{
	size_t length = text[0] < 0x80                       ? 1
			: text[0] >= 0xc2 && text[0] <= 0xdf ? 2
			: text[0] >= 0xe0 && text[0] <= 0xef ? 3
			: text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
							     : 0;

	if (length == 0 || length > size)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what is above U+10FFFF. */
	if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

size_t source_utf8_length(const char *text, size_t size)
{
	size_t at = 0;

	while (at < size) {
		size_t length = utf8_character((const uint8_t *)text + at, size - at);

		if (length == 0)
			break;
		at += length;
	}
	return at;
}

static int check_text(const struct source *s, struct error *err)
{
	size_t good = source_utf8_length(s->code.data, s->code.size);
	size_t line = 1;

	if (good == s->code.size)
		return 0;
	for (size_t i = 0; i < good; i++)
		line += s->code.data[i] == '\n';
	return error_set(err, STATUS_USAGE, "%s is not UTF-8 (byte 0x%02x in line %zu): save it as UTF-8 text", s->name,
			 (unsigned char)s->code.data[good], line);
}

static int read_code(struct source *s, int fd, struct error *err)
{
	int ret = buffer_read_all(&s->code, fd);

	if (ret == -EMSGSIZE)
		return error_set(
			err, STATUS_USAGE,
			"%s is larger than %d MiB, the most that one execution takes: put the data in a file of "
			"its own",
			s->name, SOURCE_CODE_MAX >> 20);
	if (ret < 0)
		return error_set(err, STATUS_USAGE, "cannot read %s: %s", s->name, strerror(-ret));
	return check_text(s, err);
}

static void start(struct source *s, const char *name)
{
	*s = (struct source) { .name = name, .code = { .limit = SOURCE_CODE_MAX } };
}

int source_from_file(struct source *s, const char *path, const char *language, struct error *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	start(s, path);
	if (fd < 0)
		return error_set(err, STATUS_USAGE, "cannot open %s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, STATUS_USAGE, "%s is a directory: name the files in it", path);
	if (read_code(s, fd, err) < 0)
		return -STATUS_USAGE;
	s->language = language ? language : source_language_of_name(path);
	if (!s->language)
		s->language = source_language_of_shebang(s->code.data, s->code.size);
	if (!s->language)
		return error_set(err, STATUS_USAGE,
				 "cannot tell the language of %s by its name: add --language python, node or shell",
				 path);
	return 0;
}

int source_from_text(struct source *s, const char *text, const char *language, struct error *err)
{
	start(s, "-c");
	s->language = language;
	if (buffer_append(&s->code, text, strlen(text)) < 0)
		return error_set(err, STATUS_SERVICE, "not enough memory for the code");
	return check_text(s, err);
}

int source_from_stdin(struct source *s, const char *language, struct error *err)
{
	start(s, "standard input");
	if (read_code(s, STDIN_FILENO, err) < 0)
		return -STATUS_USAGE;
	s->language = language ? language : source_language_of_shebang(s->code.data, s->code.size);
	return 0;
}

void source_fini(struct source *s)
{
	buffer_fini(&s->code);
}
