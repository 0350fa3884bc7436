# Hearth. `make run` and `make test` need nothing but this checkout on a Debian 12 machine: they do all the set-up.
# `make help` lists the targets. The source lists below are the map of each binary.

# ---- sources ---------------------------------------------------------------------------------------------------------

COMMON := common/user_namespace.c common/policy_entry.c common/error.c common/log.c common/base64.c common/crc32.c common/agent_container.c

VSOCK := vmm/virtio/vsock.c vmm/virtio/vsock_connection.c vmm/virtio/vsock_tx.c vmm/virtio/vsock_rx.c \
         vmm/virtio/vsock_clients.c vmm/virtio/vsock_flow.c vmm/virtio/vsock_table.c

VMM := vmm/main.c vmm/options.c vmm/flags.c vmm/host_file.c vmm/capabilities.c vmm/jail.c vmm/seccomp.c vmm/seccomp_filter.c vmm/probe.c vmm/control.c vmm/vm.c vmm/vm_assembly.c vmm/vm_snapshot.c vmm/kvm.c \
       vmm/kvm_stats.c vmm/vcpu.c vmm/guest_memory.c vmm/bus.c vmm/event_loop.c vmm/console.c vmm/serial.c \
       vmm/device_tree.c vmm/elf.c vmm/x86/boot.c vmm/x86/cpu.c vmm/x86/cpuid.c vmm/x86/state.c vmm/x86/prefetch.c \
       vmm/x86/prefetch_guest.S \
       vmm/x86/probe_guest.S vmm/snapshot/file_io.c vmm/snapshot/state_file.c vmm/snapshot/memory_file.c \
       vmm/snapshot/working_set.c vmm/snapshot/working_set_recorder.c vmm/virtio/virtqueue.c vmm/virtio/device.c \
       vmm/virtio/mmio.c vmm/virtio/blk.c vmm/virtio/rng.c $(VSOCK) vmm/virtio/vsock_host.c vmm/virtio/net.c \
       vmm/virtio/net_checksum.c

GATE := vmm/network/gate.c vmm/network/gate_udp.c vmm/network/gate_names.c vmm/network/policy.c vmm/network/frame.c \
        vmm/network/flow.c vmm/network/dns.c vmm/network/names.c vmm/network/connection_log.c vmm/network/verdict.c

NETD := vmm/network/netd.c vmm/network/options.c vmm/network/passt.c vmm/network/resolvers.c $(GATE) vmm/flags.c \
        vmm/jail.c vmm/capabilities.c vmm/seccomp_filter.c

HEARTHD := api/hearthd.c api/config.c api/toml.c api/home.c api/service_log.c api/log_json.c \
           api/http_server.c api/http_answer.c api/http_listener.c api/tls.c api/hang_up_watch.c api/tls_relay.c api/header_watch.c \
           api/http_fields.c api/response_parser.c \
           api/proxy.c api/proxy_answer.c api/proxy_request.c api/proxy_route.c api/proxy_tunnel.c api/stream_write.c api/ingress.c api/ingress_idle.c \
           api/url.c api/router.c api/rest.c api/rest_json.c api/rest_execute.c api/rest_health.c \
           api/rest_metrics.c api/metrics.c api/metrics_text.c \
           api/rest_session.c api/rest_session_logs.c api/rest_session_orders.c api/rest_order.c api/rest_template.c \
           api/rest_pool.c api/rest_arm.c api/pool_address.c api/stored_pools.c \
           api/execute_call.c api/execute_setup.c api/execute_request.c api/shell_code.c api/execute_answer.c api/execute_headers.c \
           api/error_data.c api/event_stream.c \
           api/notebook.c api/notebook_output.c api/notebook_call.c api/rest_notebook.c \
           api/operation.c api/rest_operation.c \
           api/auth.c api/principal.c api/api_key.c api/api_keys.c api/key_store.c api/rest_key.c \
           api/issuer.c api/key_source.c api/jwt.c api/jwks.c api/base64url.c \
           api/rest_files.c api/byte_range.c api/rest_upload.c api/file_call.c api/file_answer.c api/file_path.c \
           api/json_rpc.c api/mcp_environment.c api/mcp_exchange.c api/mcp_execute.c api/mcp_files.c api/mcp_key.c \
           api/mcp_methods.c api/mcp_result.c api/mcp_tool.c api/rest_mcp.c \
           api/multipart.c api/content_disposition.c api/agent_file.c \
           api/json.c api/json_text.c api/utf8.c api/buffer.c api/guid.c \
           api/pool_definition.c api/egress_policy.c api/database.c api/pool_store.c api/pool_resource.c api/container_template.c api/timestamp.c \
           api/container_spec.c api/container_start.c api/signal_name.c api/image/store.c api/image/image_name.c \
           api/network.c api/network_log.c api/pools.c api/stock.c api/stock_policy.c \
           api/identity_request.c api/token_source.c api/token_command.c api/token_listener.c \
           api/session.c api/session_machine.c api/session_run.c api/session_job.c api/session_use.c api/session_container.c \
           api/container_client.c api/container_log.c api/container_farewell.c \
           api/session_record.c api/session_usage.c api/usage.c api/usage_store.c api/rest_usage.c api/rest_openapi.c \
           api/image_manifest.c api/rest_metadata.c api/session_limit.c api/rate_limit.c \
           api/template.c api/template_user.c api/template_build.c api/template_container.c api/template_key.c api/snapshot.c api/folder.c api/folder_make.c \
           api/microvm.c api/microvm_agent.c api/microvm_start.c api/microvm_save.c api/microvm_directory.c \
           api/vmm_client.c api/vmm_child.c api/vmm_output.c api/vmm_process.c api/vmm_cgroups.c api/guest_listener.c api/ready_listener.c api/agent_client.c api/agent_connection.c api/vsock_connect.c api/agent_frames.c \
           api/mime_bundle.c

IMAGE := api/image/file_tree.c api/image/erofs.c api/image/erofs_metadata.c api/image/entry_name.c api/image/layer.c \
         api/image/description.c api/image/image_name.c api/image/store.c api/image/work.c api/image/source.c \
         api/image/image_archive.c api/image/unpack.c api/image/fetch.c api/image/confine.c api/image/import.c

CLI := api/cli/main.c api/cli/run.c api/cli/source.c api/cli/service.c api/cli/service_transfer.c api/cli/token.c api/cli/sse.c api/cli/output.c \
       api/cli/picture.c api/cli/json.c api/cli/buffer.c api/cli/interrupt.c api/cli/explain.c api/cli/report.c \
       api/cli/command.c api/cli/options.c api/cli/view.c api/cli/sessionpool.c api/cli/pool_container.c api/cli/session.c api/cli/session_logs.c api/cli/session_files.c api/cli/session_execute.c api/cli/completion.c \
       api/cli/template.c api/cli/key.c api/cli/cert.c api/cli/certificate.c \
       api/cli/notebook.c api/cli/own_session.c \
       api/cli/bench.c api/cli/logs.c api/cli/usage.c api/cli/log_filter.c api/cli/since.c \
       api/cli/image.c api/cli/image_folder.c api/toml.c api/home.c api/folder_make.c api/timestamp.c $(IMAGE)

AGENT := guest-agent/main.c guest-agent/init.c guest-agent/cgroup.c guest-agent/process.c guest-agent/loop.c \
         guest-agent/frame.c guest-agent/bundle.c guest-agent/output.c guest-agent/output_pipe.c guest-agent/interpreter.c \
         guest-agent/shell.c guest-agent/shell_order.c guest-agent/execution.c guest-agent/serve.c guest-agent/settle.c guest-agent/adopt.c guest-agent/machine.c \
         guest-agent/vsock.c guest-agent/token_offer.c guest-agent/token_relay.c guest-agent/network.c \
         guest-agent/files.c guest-agent/file_tree.c \
         guest-agent/container.c guest-agent/container_watch.c guest-agent/container_output.c \
         guest-agent/container_probes.c guest-agent/container_process.c guest-agent/container_mounts.c \
         guest-agent/container_privileges.c guest-agent/container_user.c guest-agent/container_environment.c \
         guest-agent/container_log.c guest-agent/probe.c guest-agent/ingress.c guest-agent/loopback.c guest-agent/relay.c

# A unit test is tests/unit/test_NAME.c with the sources that it names here.
UNIT_TESTS := bytes error
UNIT_bytes :=
UNIT_error :=

HOST_FILE := vmm/host_file.c vmm/capabilities.c vmm/virtio/vsock_host.c
VIRTIO := $(HOST_FILE) vmm/snapshot/file_io.c vmm/snapshot/state_file.c vmm/virtio/virtqueue.c vmm/virtio/device.c vmm/virtio/mmio.c vmm/guest_memory.c vmm/event_loop.c
UNIT_TESTS += virtqueue guest_memory virtio_mmio vsock_flow vsock blk net device_tree elf serial vmm_options virtio_fuzz
UNIT_virtqueue := vmm/virtio/virtqueue.c vmm/guest_memory.c
UNIT_guest_memory := vmm/guest_memory.c vmm/bus.c
UNIT_virtio_mmio := $(VIRTIO)
UNIT_blk := vmm/virtio/blk.c $(VIRTIO)
UNIT_net := vmm/virtio/net.c vmm/virtio/net_checksum.c $(VIRTIO)
UNIT_device_tree := vmm/device_tree.c vmm/guest_memory.c
UNIT_elf := vmm/elf.c vmm/snapshot/file_io.c vmm/guest_memory.c
UNIT_serial := $(HOST_FILE) vmm/snapshot/file_io.c vmm/snapshot/state_file.c vmm/serial.c vmm/console.c vmm/event_loop.c
UNIT_vmm_options := vmm/options.c vmm/flags.c vmm/x86/cpuid.c
UNIT_vsock_flow := vmm/virtio/vsock_flow.c
UNIT_vsock := $(VSOCK) $(VIRTIO)
UNIT_virtio_fuzz := tests/fuzz/virtio_driver.c $(UNIT_vsock) vmm/virtio/blk.c vmm/virtio/rng.c vmm/virtio/net.c vmm/virtio/net_checksum.c

UNIT_TESTS += net_frame net_policy net_dns net_flow
UNIT_net_frame := vmm/network/frame.c
UNIT_net_policy := vmm/network/policy.c
UNIT_net_dns := vmm/network/dns.c vmm/network/names.c
UNIT_net_flow := vmm/network/flow.c vmm/network/connection_log.c vmm/network/verdict.c

UNIT_TESTS += state_file memory_file seccomp
UNIT_seccomp := vmm/seccomp.c vmm/seccomp_filter.c
UNIT_state_file := $(HOST_FILE) vmm/snapshot/file_io.c vmm/snapshot/state_file.c
UNIT_memory_file := $(HOST_FILE) vmm/snapshot/file_io.c vmm/snapshot/state_file.c vmm/snapshot/memory_file.c \
                    vmm/snapshot/working_set.c vmm/guest_memory.c

KEYS := api/principal.c api/api_key.c api/api_keys.c api/key_store.c api/database.c api/pool_store.c api/pool_definition.c api/egress_policy.c
JWT := api/jwt.c api/jwks.c api/base64url.c api/principal.c api/pool_definition.c api/egress_policy.c

UNIT_TESTS += utf8 base64 json_text url identity_request auth api_keys jwt issuer config
UNIT_utf8 := api/utf8.c api/buffer.c
UNIT_base64 :=
UNIT_json_text := api/json_text.c api/utf8.c api/buffer.c
UNIT_url := api/url.c api/buffer.c
UNIT_identity_request := api/identity_request.c api/url.c $(UNIT_json_text)
UNIT_TESTS += token_source
TOKENS := api/token_source.c api/token_command.c api/token_listener.c api/guest_listener.c api/timestamp.c $(UNIT_identity_request)
UNIT_token_source := $(TOKENS)
UNIT_auth := api/auth.c api/issuer.c api/key_source.c api/jwt.c api/jwks.c api/base64url.c api/buffer.c $(KEYS)
UNIT_api_keys := $(KEYS)
UNIT_jwt := $(JWT)
UNIT_issuer := api/issuer.c api/key_source.c api/buffer.c $(JWT)
UNIT_config := api/config.c api/toml.c api/home.c api/pool_definition.c api/egress_policy.c api/principal.c

UNIT_TESTS += agent_frames mime_bundle agent_client execute_request
UNIT_agent_frames := api/agent_frames.c
UNIT_mime_bundle := api/mime_bundle.c
UNIT_TESTS += container_client session_log
UNIT_container_client := api/container_client.c api/agent_connection.c api/vsock_connect.c api/agent_frames.c
UNIT_session_log := api/container_log.c
UNIT_agent_client := api/agent_client.c api/agent_connection.c api/vsock_connect.c api/agent_frames.c api/mime_bundle.c
UNIT_TESTS += execute_answer http http_tls
UNIT_http_tls := api/http_server.c api/http_answer.c api/http_listener.c api/hang_up_watch.c api/tls_relay.c api/header_watch.c api/url.c api/buffer.c api/tls.c \
                 api/cli/certificate.c
UNIT_execute_answer := api/execute_answer.c api/error_data.c api/json.c api/json_text.c api/utf8.c api/buffer.c api/mime_bundle.c
UNIT_http := $(filter-out api/hearthd.c api/config.c api/toml.c api/home.c,$(HEARTHD))
UNIT_execute_request := api/execute_request.c api/shell_code.c api/json.c api/json_text.c api/utf8.c api/buffer.c

UNIT_TESTS += notebook
UNIT_notebook := api/notebook.c api/notebook_output.c api/error_data.c api/mime_bundle.c api/guid.c api/json.c api/json_text.c \
                 api/utf8.c api/buffer.c

UNIT_TESTS += response_parser proxy_route
UNIT_proxy_route := api/proxy_route.c
UNIT_response_parser := api/response_parser.c api/http_fields.c

UNIT_TESTS += multipart content_disposition file_path byte_range
UNIT_byte_range := api/byte_range.c
UNIT_multipart := api/multipart.c
UNIT_content_disposition := api/content_disposition.c api/utf8.c api/buffer.c
UNIT_file_path := api/file_path.c api/utf8.c api/buffer.c

UNIT_TESTS += vmm_output vmm_client microvm_directory stock_policy template_key snapshot session_record
UNIT_vmm_output := api/vmm_output.c
UNIT_vmm_client := api/vmm_client.c api/vmm_child.c api/vmm_output.c api/vmm_process.c
UNIT_microvm_directory := api/microvm_directory.c api/folder.c
UNIT_stock_policy := api/stock_policy.c
UNIT_template_key := api/template_key.c api/snapshot.c api/folder.c
UNIT_snapshot := api/snapshot.c api/folder.c
UNIT_session_record := api/session_record.c

UNIT_TESTS += pool_definition pool_store pool_resource pool_fuzz rest_pools rest_keys rest_files router_fuzz
UNIT_rest_files := $(UNIT_http)
UNIT_rest_pools := $(UNIT_http)
UNIT_rest_keys := $(UNIT_http)
UNIT_router_fuzz := $(UNIT_http)
UNIT_pool_definition := api/pool_definition.c api/egress_policy.c
UNIT_pool_store := api/database.c api/pool_store.c api/pool_definition.c api/egress_policy.c
UNIT_pool_resource := api/pool_resource.c api/container_template.c api/pool_definition.c api/egress_policy.c api/timestamp.c api/json.c api/json_text.c api/utf8.c \
                      api/buffer.c
UNIT_pool_fuzz := $(UNIT_pool_resource)

UNIT_TESTS += rate_limit
UNIT_rate_limit := api/rate_limit.c

UNIT_TESTS += json_rpc rest_mcp
UNIT_json_rpc := api/json_rpc.c api/json_text.c api/utf8.c api/buffer.c
UNIT_rest_mcp := $(UNIT_http)

UNIT_TESTS += metrics_text rest_metrics log_json service_log
UNIT_log_json := api/log_json.c api/json_text.c api/utf8.c api/buffer.c api/timestamp.c
UNIT_service_log := api/service_log.c $(UNIT_log_json)
UNIT_metrics_text := api/metrics_text.c api/buffer.c
UNIT_rest_metrics := $(UNIT_http)

UNIT_TESTS += cli_log_filter usage_store
UNIT_usage_store := api/usage_store.c api/database.c api/pool_store.c api/pool_definition.c api/egress_policy.c
UNIT_cli_log_filter := api/cli/log_filter.c api/cli/since.c

UNIT_TESTS += guest_frame guest_bundle guest_loop guest_adopt agent_container
UNIT_agent_container :=
UNIT_TESTS += container_user container_log container_environment loopback
UNIT_loopback := guest-agent/loopback.c guest-agent/loop.c
UNIT_container_environment := guest-agent/container_environment.c
UNIT_container_user := guest-agent/container_user.c
UNIT_container_log := guest-agent/container_log.c
UNIT_guest_frame := guest-agent/frame.c
UNIT_guest_bundle := guest-agent/bundle.c guest-agent/output.c
UNIT_guest_adopt := guest-agent/adopt.c guest-agent/machine.c guest-agent/loop.c
UNIT_guest_loop := guest-agent/loop.c guest-agent/process.c

UNIT_TESTS += image_file_tree image_entry_name image_description image_confine
UNIT_image_file_tree := api/image/file_tree.c
UNIT_image_entry_name := api/image/entry_name.c api/image/image_name.c
UNIT_image_description := api/image/description.c
UNIT_image_confine := api/image/confine.c

UNIT_TESTS += container_spec
UNIT_container_spec := api/container_spec.c api/container_start.c api/signal_name.c api/image/store.c api/image/work.c \
                       api/image/image_name.c api/folder_make.c $(UNIT_pool_resource)

UNIT_TESTS += sse cli cli_options cli_pool_container cli_view
UNIT_sse := api/cli/sse.c api/cli/buffer.c
UNIT_cli := api/cli/source.c api/cli/picture.c api/cli/json.c api/cli/buffer.c api/cli/interrupt.c
UNIT_cli_options := api/cli/options.c
UNIT_cli_pool_container := api/cli/pool_container.c api/cli/options.c
UNIT_cli_view := api/cli/view.c api/cli/report.c

# A fuzz target is tests/fuzz/fuzz_NAME.c with the sources that it names here (scripts/fuzz, docs/testing.md).
FUZZ_TARGETS := url identity multipart file_name byte_range execute_request pool_resource token config sse agent_frames \
                guest_frames container container_user
FUZZ_url := $(UNIT_url)
FUZZ_identity := $(UNIT_identity_request)
FUZZ_byte_range := api/byte_range.c
FUZZ_multipart := api/multipart.c
FUZZ_file_name := api/content_disposition.c $(UNIT_file_path)
FUZZ_execute_request := $(UNIT_execute_request)
FUZZ_pool_resource := $(UNIT_pool_resource)
FUZZ_token := $(JWT)
FUZZ_config := $(UNIT_config)
FUZZ_sse := $(UNIT_sse)
FUZZ_agent_frames := api/agent_frames.c api/mime_bundle.c
FUZZ_guest_frames := guest-agent/frame.c guest-agent/bundle.c guest-agent/shell_order.c
FUZZ_container :=
FUZZ_TARGETS += container_start
FUZZ_container_start := api/container_start.c api/signal_name.c api/image/description.c $(UNIT_pool_resource)
FUZZ_container_user := guest-agent/container_user.c

FUZZ_TARGETS += container_client
FUZZ_container_client := api/container_client.c api/container_log.c api/agent_frames.c

FUZZ_TARGETS += response
FUZZ_response := $(UNIT_response_parser)

FUZZ_TARGETS += control virtqueue blk rng vsock net serial snapshot elf
FUZZ_control := vmm/control.c vmm/event_loop.c $(UNIT_vmm_client)
FUZZ_virtqueue := $(UNIT_virtqueue)
FUZZ_blk := $(UNIT_virtio_fuzz)
FUZZ_rng := $(UNIT_virtio_fuzz)
FUZZ_vsock := $(UNIT_virtio_fuzz)
FUZZ_net := $(UNIT_virtio_fuzz)
FUZZ_serial := $(UNIT_serial)
FUZZ_snapshot := $(UNIT_virtio_fuzz) vmm/serial.c vmm/console.c vmm/snapshot/memory_file.c vmm/snapshot/working_set.c
FUZZ_elf := $(UNIT_elf)

FUZZ_TARGETS += net_frame dns
FUZZ_net_frame := $(GATE)
FUZZ_dns := vmm/network/dns.c

FUZZ_TARGETS += image_layer image_description image_entry
FUZZ_image_layer := api/image/layer.c api/image/entry_name.c api/image/file_tree.c api/image/erofs.c api/image/erofs_metadata.c
FUZZ_image_description := api/image/description.c
FUZZ_image_entry := api/image/entry_name.c api/image/image_name.c

# The sources that a target is about, where it is linked with more.
SUBJECT_execute_request := api/execute_request.c api/shell_code.c api/json.c
SUBJECT_pool_resource := api/pool_resource.c api/pool_definition.c api/egress_policy.c common/policy_entry.c api/json.c
SUBJECT_token := api/jwt.c api/jwks.c api/base64url.c
SUBJECT_config := api/config.c api/toml.c
SUBJECT_file_name := api/content_disposition.c api/file_path.c
SUBJECT_sse := api/cli/sse.c
SUBJECT_container := common/agent_container.c
SUBJECT_container_start := api/container_start.c api/signal_name.c api/container_template.c
SUBJECT_container_client := api/container_client.c api/container_log.c
SUBJECT_url := api/url.c
SUBJECT_identity := api/identity_request.c
SUBJECT_control := vmm/control.c
SUBJECT_virtqueue := vmm/virtio/virtqueue.c
SUBJECT_blk := vmm/virtio/blk.c vmm/virtio/mmio.c vmm/virtio/virtqueue.c vmm/virtio/device.c
SUBJECT_rng := vmm/virtio/rng.c vmm/virtio/mmio.c vmm/virtio/virtqueue.c vmm/virtio/device.c
SUBJECT_vsock := $(filter vmm/virtio/vsock%,$(UNIT_vsock)) vmm/virtio/mmio.c vmm/virtio/virtqueue.c
SUBJECT_net := vmm/virtio/net.c vmm/virtio/net_checksum.c vmm/virtio/mmio.c vmm/virtio/virtqueue.c vmm/virtio/device.c
SUBJECT_serial := vmm/serial.c vmm/console.c
SUBJECT_snapshot := vmm/snapshot/state_file.c vmm/snapshot/memory_file.c vmm/snapshot/working_set.c vmm/virtio/mmio.c
SUBJECT_elf := vmm/elf.c

# ---- flags -----------------------------------------------------------------------------------------------------------

CC       ?= gcc
STATICCC ?= musl-gcc
BUILD    := build

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wimplicit-fallthrough=5 \
            -Wformat=2 -Wvla -Werror
CFLAGS   ?= -O2 -g
HARDEN   := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
BASE     := -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP $(WARNINGS) -ffunction-sections -fdata-sections
LINK     := -pie -Wl,-z,relro,-z,now -Wl,--gc-sections
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g

VMM_LIBS     := -lfdt -lpthread
HEARTHD_LIBS := -luv -lmicrohttpd -lgnutls -ljansson -lsqlite3 -lcurl -lm
CLI_LIBS     := -ljansson -lcurl -lgnutls -larchive

# What is built is named in a word; V=1 shows the commands, --silent nothing.
ifneq ($(V),1)
.SILENT:
endif
say = $(if $(findstring s,$(firstword -$(MAKEFLAGS))),,@echo "  $(1)  $(2)")

# The version is the checkout's, so that `--version` names what runs.
VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

# ---- binaries --------------------------------------------------------------------------------------------------------

BINARIES := $(BUILD)/hearth-vmm $(BUILD)/hearth-netd $(BUILD)/hearthd $(BUILD)/hearth $(BUILD)/hearth-agent $(BUILD)/node_random.node

.PHONY: all
all: $(BINARIES)

$(BUILD)/hearth-vmm: $(addprefix $(BUILD)/obj/,$(addsuffix .o,$(basename $(VMM) $(COMMON))))
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^ $(VMM_LIBS)

$(BUILD)/hearth-netd: $(addprefix $(BUILD)/obj/,$(addsuffix .o,$(basename $(NETD) $(COMMON))))
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^

# For tests: VMMs that do what whoever has taken them over wants, with all of the jail and with all but its filters.
VMM_TEST_OBJECTS := $(filter-out %/vmm/main.o %/vmm/seccomp.o,$(addprefix $(BUILD)/obj/,$(addsuffix .o,$(basename $(VMM) $(COMMON)))))

$(BUILD)/hearth-vmm-compromised: $(VMM_TEST_OBJECTS) $(BUILD)/compromised/vmm/main.o $(BUILD)/obj/vmm/seccomp.o \
                                 $(BUILD)/obj/tests/compromised/compromised.o
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^ $(VMM_LIBS)

$(BUILD)/hearth-vmm-unfiltered: $(VMM_TEST_OBJECTS) $(BUILD)/compromised/vmm/main.o $(BUILD)/compromised/vmm/seccomp.o \
                                $(BUILD)/obj/tests/compromised/compromised.o
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^ $(VMM_LIBS)

$(BUILD)/compromised/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(CC) $(BASE) $(HARDEN) $(CFLAGS) -DHEARTH_COMPROMISED -DHEARTH_VERSION='"$(VERSION)"' -c -o $@ $<

.PHONY: compromised
compromised: $(BUILD)/hearth-vmm-compromised $(BUILD)/hearth-vmm-unfiltered

$(BUILD)/hearthd: $(HEARTHD:%.c=$(BUILD)/obj/%.o) $(COMMON:%.c=$(BUILD)/obj/%.o)
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^ $(HEARTHD_LIBS)

$(BUILD)/hearth: $(CLI:%.c=$(BUILD)/obj/%.o) $(COMMON:%.c=$(BUILD)/obj/%.o)
	$(call say,LD,$@)
	$(CC) $(LINK) -o $@ $^ $(CLI_LIBS)

# Static, because it is the guest's PID 1 and must not depend on what the image holds.
$(BUILD)/hearth-agent: $(AGENT:%.c=$(BUILD)/static/%.o) $(COMMON:%.c=$(BUILD)/static/%.o)
	$(call say,LD,$@)
	$(STATICCC) -static -Wl,--gc-sections -o $@ $^

# An addon that Node loads: everything that it calls is Node's own. Without debug information, which names the checkout.
$(BUILD)/node_random.node: guest-agent/drivers/node_random.c Makefile
	$(call say,LD,$@)
	$(CC) $(filter-out -MMD -MP,$(BASE)) -O2 -fPIC -shared -nostdlib -Wl,-z,relro,-z,now -Wl,--build-id=none -s -o $@ $<

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(CC) $(BASE) $(HARDEN) $(CFLAGS) -DHEARTH_VERSION='"$(VERSION)"' -c -o $@ $<

$(BUILD)/obj/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(CC) -I. -MMD -MP -c -o $@ $<

# Kernel headers (vm_sockets.h) come after the C library's own.
$(BUILD)/static/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(STATICCC) $(BASE) $(CFLAGS) -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu \
	        -DHEARTH_VERSION='"$(VERSION)"' -c -o $@ $<

$(BUILD)/san/%.o: %.S Makefile
	@mkdir -p $(@D)
	$(call say,AS,$<)
	$(CC) -I. -MMD -MP -c -o $@ $<

$(BUILD)/san/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(CC) $(BASE) $(SANITIZE) -DHEARTH_VERSION='"$(VERSION)"' -c -o $@ $<

# It holds the document.
$(BUILD)/obj/api/rest_openapi.o $(BUILD)/san/api/rest_openapi.o: api/openapi.json

# What tells its version is built anew when that changes. Not so the agent: it would make a new guest image each time.
$(BUILD)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

.PHONY: FORCE
$(addprefix $(BUILD)/obj/,vmm/main.o vmm/network/netd.o api/hearthd.o api/rest_health.o api/rest_metrics.o api/mcp_methods.o api/cli/main.o api/cli/service.o): $(BUILD)/version

-include $(shell find $(BUILD)/obj $(BUILD)/compromised $(BUILD)/static $(BUILD)/san $(BUILD)/fuzz -name "*.d" -type f 2>/dev/null)

# Tiny guests without an operating system, each for one ending of a VM.
GUESTS := reset triple_fault panic chain_loops buffer_outside ring_outside vsock_short_packet disk_bounds unknown random \
          halt spin disk_write

# And those that do what no driver may. descriptors-DEVICE-QUEUE-VARIANT is one of tests/hostile/descriptors.c.
HOSTILE := registers ports processor queues racing streams frames \
           $(foreach d,RNG-0 BLK-0 VSOCK-0 VSOCK-1 NET-0 NET-1,$(foreach v,0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15,descriptors-$(d)-$(v)))

.PHONY: guests hostile
guests: $(GUESTS:%=$(BUILD)/guests/%)
hostile: $(HOSTILE:%=$(BUILD)/hostile/%) $(BUILD)/hearth-vmm-sanitized

GUEST_BASE  := tests/guests/start.S tests/guests/guest.h tests/guests/guest.ld Makefile
GUEST_FLAGS := -std=gnu11 -O1 -Wall -Wextra -Werror -I. -ffreestanding -fno-stack-protector -fno-pie -fcf-protection=none \
               -mno-red-zone -mgeneral-regs-only -nostdlib -static -no-pie -Wl,--build-id=none \
               -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments -T tests/guests/guest.ld tests/guests/start.S

$(BUILD)/guests/%: tests/guests/%.c $(GUEST_BASE)
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -o $@ $<

word-of = $(word $(1),$(subst -, ,$*))
$(BUILD)/hostile/descriptors-%: tests/hostile/descriptors.c $(GUEST_BASE)
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -DDEVICE=VIRTIO_$(call word-of,1) -DQUEUE=$(call word-of,2) -DVARIANT=$(call word-of,3) -o $@ $<

$(BUILD)/hostile/%: tests/hostile/%.c $(GUEST_BASE)
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -o $@ $<

# Runs with --jail off: the sanitizers need more than a jail has.
$(BUILD)/hearth-vmm-sanitized: $(addprefix $(BUILD)/san/,$(addsuffix .o,$(basename $(VMM) $(COMMON))))
	$(call say,LD,$@)
	$(CC) $(SANITIZE) -static-libasan -static-libubsan -o $@ $^ $(VMM_LIBS)

# ---- unit tests ------------------------------------------------------------------------------------------------------

UNIT_BINARIES := $(UNIT_TESTS:%=$(BUILD)/unit/test_%)

sanitized = $(addprefix $(BUILD)/san/,$(addsuffix .o,$(basename $(1))))

.PHONY: unit-tests
unit-tests: $(UNIT_BINARIES)

.PHONY: unit-names
unit-names: # for scripts/test
	@echo $(UNIT_TESTS)

# Objects made on the way to a test are kept for the next build.
.SECONDARY:

.SECONDEXPANSION:
$(BUILD)/unit/test_%: $(BUILD)/san/tests/unit/test_%.o $$(call sanitized,$$(UNIT_$$*) $(COMMON))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(CC) $(SANITIZE) -o $@ $^ -lcmocka -lfdt -ljansson -luv -lmicrohttpd -lgnutls -lcurl -lsqlite3 -lpthread -lm

# ---- fuzz targets ----------------------------------------------------------------------------------------------------

# Clang has the fuzzer's engine. What it counts is said in source lines by the same build (scripts/fuzz --coverage).
FUZZCC    := clang-14
FUZZFLAGS := -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
             -fprofile-instr-generate -fcoverage-mapping
fuzzed = $(sort $(addprefix $(BUILD)/fuzz/obj/,$(addsuffix .o,$(basename tests/fuzz/quiet.c $(1)))))

.PHONY: fuzz-targets fuzz-names
fuzz-targets: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/fuzz_%)
fuzz-names: # for scripts/fuzz: each target with the sources that it is about
	@$(foreach t,$(FUZZ_TARGETS),echo $(t) $(or $(SUBJECT_$(t)),$(FUZZ_$(t)));)

$(BUILD)/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(FUZZCC) $(FUZZFLAGS) -DHEARTH_VERSION='"$(VERSION)"' -c -o $@ $<

$(BUILD)/fuzz/fuzz_%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.o $$(call fuzzed,$$(FUZZ_$$*) $(COMMON))
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(FUZZCC) $(FUZZFLAGS) -o $@ $^ -ljansson -lgnutls -larchive -lcurl -lsqlite3 -luv -lfdt -lpthread -lm

.PHONY: clean
clean:
	rm -rf $(BUILD)/obj $(BUILD)/compromised $(BUILD)/static $(BUILD)/san $(BUILD)/unit $(BUILD)/fuzz $(BINARIES)

# ---- what people call ------------------------------------------------------------------------------------------------

# The clock of the progress lines starts here.
BEGIN := export HEARTH_BEGAN_US=$$(date +%s%6N)

.PHONY: run demo test unit contract e2e test-clients test-images test-containers test-hostile test-faults lint format bench fuzz help

run: ## install, build, show the demo, serve on 127.0.0.1:8080 until Ctrl-C
	@$(BEGIN); scripts/prepare && exec scripts/serve --demo

demo: ## the same, but end after the demo, with its status
	@$(BEGIN); scripts/prepare && exec scripts/serve --once

test: ## install, build, run every test; HEARTH_MUST_RUN=1: what is skipped has failed
	@$(BEGIN); scripts/prepare || { echo "0 passed, 1 failed"; exit 1; }; exec scripts/test

unit: ## the unit tests, hearthd's and the agent's without a VM alone (quick)
	@scripts/test unit service agent

contract: ## the OpenAPI document by schemathesis and ARM by Azure's SDK, without a VM
	@scripts/test contract

e2e: ## the end-to-end tests alone; ARGS="-k unicode" goes to pytest
	@scripts/test e2e -- $(ARGS)

test-clients: ## real clients of Azure's Dynamic Sessions alone; ARGS="-k files" goes to pytest
	@scripts/test clients -- $(ARGS)

test-images: ## container images: what is imported, what is refused; ARGS="-k whiteouts" goes to pytest
	@scripts/test images -- $(ARGS)

test-containers: ## sessions of container images alone; ARGS="-k logs" goes to pytest
	@scripts/test containers -- $(ARGS)

test-hostile: ## the guests that attack hearth-vmm alone
	@scripts/test e2e -- tests/e2e/test_hostile_guests.py $(ARGS)

test-faults: ## things die at random moments, 1,000 rounds: takes about half an hour in the lab
	@HEARTH_FAULT_ROUNDS=$${HEARTH_FAULT_ROUNDS:-1000} scripts/test e2e -- tests/e2e/test_z_faults.py -s $(ARGS)

lint: ## formatting, clang-tidy, and the scripts' syntax
	@scripts/test lint

format: ## settle the style of all C files
	clang-format -i $$(git ls-files --cached --others --exclude-standard '*.c' '*.h')

bench: ## measure cold and warm starts, memory, and peers; ARGS="--quick" goes to scripts/bench; writes build/bench/
	@$(BEGIN); scripts/prepare && scripts/setup bench && { scripts/example-images || true; } && exec scripts/bench $(ARGS)

fuzz: ## feed parsers and devices with hostile input; ARGS="--seconds 60 vsock" goes to scripts/fuzz
	@scripts/setup build test && exec scripts/fuzz $(ARGS)

help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
