{{/*
The configuration that both programs read: `config` over what the chart knows, as YAML. Whoever writes a key in `config`
has the last word. The chart does not know the schema; `wattroute validate` does.
*/}}
{{- define "wattroute.config" -}}
{{- if and (include "wattroute.isConfigured" .) (not (or .Values.config.pools .Values.existingConfig.name)) -}}
{{- fail "config.pools is empty: write the pools of your engines under `config`, as in helm/wattroute/ci/gateway-values.yaml, or name a ConfigMap or a Secret that holds the file in existingConfig" -}}
{{- end -}}
{{- $full := include "wattroute.fullname" . -}}
{{- $user := deepCopy .Values.config -}}
{{- $router := dict "host" "0.0.0.0" "port" 8080 "admin_host" "0.0.0.0" "admin_port" 8081 "reload" true -}}
{{- if .Values.router.tls.existingSecret -}}
{{- $_ := set $router "tls" (dict "certificate_file" "/etc/wattroute-tls/tls.crt" "key_file" "/etc/wattroute-tls/tls.key") -}}
{{- end -}}
{{- if .Values.router.adminToken.existingSecret -}}
{{- $_ := set $router "admin_token_file" "/etc/wattroute-admin/token" -}}
{{- end -}}
{{- $known := dict "router" $router -}}
{{- if .Values.controller.enabled -}}
{{- $controller := dict "host" "0.0.0.0" "port" 8090 "data_dir" "/var/lib/wattroute" -}}
{{- if .Values.controller.operatorToken.existingSecret -}}
{{- $_ := set $controller "token_file" "/etc/wattroute-operator/token" -}}
{{- end -}}
{{- if gt (int .Values.controller.replicas) 1 -}}
{{- $_ := set $controller "election" (dict "kind" "lease" "name" $full "namespace" .Release.Namespace) -}}
{{- end -}}
{{- $_ := set $known "controller" $controller -}}
{{- end -}}
{{- if not (or (dig "table" "url" "" $user) (dig "table" "redis_url" "" $user)) -}}
{{- if .Values.redis.enabled -}}
{{- $table := dict "redis_url" (printf "redis://%s-redis.%s.svc:6379/0" $full .Release.Namespace) -}}
{{- if .Values.redis.tls.existingSecret -}}
{{- $table = dict "redis_url" (printf "rediss://%s-redis.%s.svc:6379/0" $full .Release.Namespace) "tls" (dict "ca_file" "/etc/wattroute-redis/ca.crt") -}}
{{- end -}}
{{- $_ := set $known "table" $table -}}
{{- else if .Values.controller.enabled -}}
{{- $port := dig "controller" "port" 8090 $user -}}
{{- $_ := set $known "table" (dict "url" (printf "http://%s-controller.%s.svc:%v/v1/allocation" $full .Release.Namespace $port)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.redis.tls.existingSecret (hasPrefix "rediss://" (dig "table" "redis_url" "" $user)) -}}
{{- $_ := set $known "table" (dict "tls" (dict "ca_file" "/etc/wattroute-redis/ca.crt")) -}}
{{- end -}}
{{- $config := mergeOverwrite $known $user -}}
{{- /* Routers tell of themselves through Redis; without it the controller asks each by its name. */ -}}
{{- if and .Values.controller.enabled (not (dig "signals" "router_urls" list $config)) (not (dig "table" "redis_url" "" $config)) -}}
{{- with include "wattroute.routerUrls" . | fromYamlArray -}}
{{- $_ := set $config "signals" (merge (dict "router_urls" .) (dig "signals" dict $config)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Whether anything is installed that reads the configuration; node agents alone do not. */}}
{{- define "wattroute.isConfigured" -}}
{{- if or (ne .Values.router.mode "none") .Values.controller.enabled }}true{{ end -}}
{{- end -}}

{{/* Admin addresses of the gateway's pods, which a StatefulSet names; none where the chart cannot know them. */}}
{{- define "wattroute.routerUrls" -}}
{{- $urls := list -}}
{{- $gateway := .Values.router.gateway -}}
{{- if and (has .Values.router.mode (list "gateway" "both")) (eq $gateway.kind "StatefulSet") $gateway.replicas -}}
{{- $full := include "wattroute.fullname" . -}}
{{- $port := dig "router" "admin_port" 8081 .Values.config -}}
{{- range $n := until (int $gateway.replicas) -}}
{{- $urls = append $urls (printf "http://%s-router-%d.%s-router-pods.%s.svc:%v" $full $n $full $.Release.Namespace $port) -}}
{{- end -}}
{{- end -}}
{{- toYaml $urls -}}
{{- end -}}

{{/* Name of the object that holds the file, and the volume with it. */}}
{{- define "wattroute.configVolume" -}}
- name: config
  {{- with .Values.existingConfig }}
  {{- if and .name (eq .kind "Secret") }}
  secret:
    secretName: {{ .name }}
    items: [{key: {{ .key | quote }}, path: wattroute.yaml}]
  {{- else }}
  configMap:
    name: {{ .name | default (include "wattroute.fullname" $) }}
    items: [{key: {{ ternary .key "wattroute.yaml" (not (empty .name)) | quote }}, path: wattroute.yaml}]
  {{- end }}
  {{- end }}
{{- end -}}

{{/* What of the configuration a router takes at its start alone. */}}
{{- define "wattroute.routerFixed" -}}
{{- $config := include "wattroute.config" . | fromYaml -}}
{{- if $config.router.reload -}}
{{- $router := pick $config.router "host" "port" "listen" "listen_mode" "tls" "admin_host" "admin_port" "admin_token_file" "name" "workers" "access_log" "tracing" -}}
{{- $table := pick ($config.table | default dict) "url" "redis_url" "sentinels" "redis_key" "share_caps" "tls" -}}
{{- $config = dict "router" $router "table" $table -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* Namespaces in which the router looks for engines, as a YAML list. */}}
{{- define "wattroute.discoveryNamespaces" -}}
{{- $found := list -}}
{{- range .Values.config.pools -}}
{{- if eq (dig "discovery" "kind" "" .) "kubernetes" -}}
{{- $found = append $found (dig "discovery" "namespace" $.Release.Namespace .) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $found .Values.rbac.discoveryNamespaces | uniq | sortAlpha) -}}
{{- end -}}

{{/* Where the workload of a pool is: dict "root" $ "pool" NAME "workload" VALUES. As the controller has it: where the pool is discovered, unless that is told. */}}
{{- define "wattroute.workloadNamespace" -}}
{{- $found := .root.Release.Namespace -}}
{{- range .root.Values.config.pools -}}
{{- if and (eq .name $.pool) (eq (dig "discovery" "kind" "" .) "kubernetes") }}{{ $found = dig "discovery" "namespace" $found . }}{{ end -}}
{{- end -}}
{{- .workload.namespace | default $found -}}
{{- end -}}

{{/* Workloads that the controller scales, as a YAML list of kind, name and namespace. */}}
{{- define "wattroute.workloads" -}}
{{- $found := list -}}
{{- range $pool, $plan := dig "plan" "pools" dict .Values.config -}}
{{- with $plan.workload -}}
{{- if eq (.mode | default "recommend") "act" -}}
{{- $found = append $found (dict "kind" .kind "name" .name "namespace" (include "wattroute.workloadNamespace" (dict "root" $ "pool" $pool "workload" .))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.rbac.workloads -}}
{{- $found = append $found (dict "kind" .kind "name" .name "namespace" (.namespace | default $.Release.Namespace)) -}}
{{- end -}}
{{- $full := include "wattroute.fullname" . -}}
{{- range $found -}}
{{- if and (eq .namespace $.Release.Namespace) (has .name (list (printf "%s-router" $full) (printf "%s-controller" $full) (printf "%s-redis" $full))) -}}
{{- fail (printf "rbac.workloads: %s %s is a part of wattroute itself; name the one that runs the engines" .kind .name) -}}
{{- end -}}
{{- end -}}
{{- toYaml ($found | uniq) -}}
{{- end -}}

{{/* Namespaces of the Deployments whose pods the controller marks to go first, for an autoscaler; as a YAML list. */}}
{{- define "wattroute.markedNamespaces" -}}
{{- $found := list -}}
{{- $plans := dig "plan" dict .Values.config -}}
{{- range $pool, $plan := dig "pools" dict $plans -}}
{{- $goes := or (dig "may_stop" false $plans) (not (dig "can_sleep" true $plan)) -}}
{{- with $plan.workload -}}
{{- if and $goes (eq .kind "Deployment") (eq (.mode | default "recommend") "recommend") -}}
{{- $found = append $found (include "wattroute.workloadNamespace" (dict "root" $ "pool" $pool "workload" .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml ($found | uniq | sortAlpha) -}}
{{- end -}}

{{/* Values that contradict each other, told before anything is installed. */}}
{{- define "wattroute.validate" -}}
{{- $config := include "wattroute.config" . | fromYaml -}}
{{- if and .Values.redis.auth.existingSecret .Values.redis.enabled (not .Values.redis.tls.existingSecret) -}}
{{- fail "redis.auth.existingSecret needs redis.tls.existingSecret: wattroute sends a password to another machine over TLS alone" -}}
{{- end -}}
{{- $auth := .Values.redis.auth -}}
{{- if and .Values.redis.enabled (or $auth.username $auth.controller.username $auth.controller.key $auth.sentinelKey) -}}
{{- fail "redis.auth names users or Sentinels, which the chart's own Redis does not know; name yours in config.table.redis_url in place of redis.enabled" -}}
{{- end -}}
{{- if and (or $auth.controller.key $auth.sentinelKey) (not $auth.existingSecret) -}}
{{- fail "redis.auth.controller.key and redis.auth.sentinelKey are keys of redis.auth.existingSecret; name that secret" -}}
{{- end -}}
{{- if and .Values.redis.enabled (or (dig "table" "redis_url" "" .Values.config) (dig "table" "url" "" .Values.config)) -}}
{{- fail "redis.enabled installs a Redis, but config.table names another source of the table, so that nobody would use it; leave one of them out" -}}
{{- end -}}
{{- $url := dig "table" "redis_url" "" .Values.config -}}
{{- if and $auth.existingSecret (hasPrefix "redis://" $url) (not (regexMatch "^redis://([^@/]*@)?(localhost|127\\.[0-9.]+|\\[::1\\])?(:[0-9]+)?(/|$)" $url)) -}}
{{- fail "redis.auth.existingSecret has a password, which would go to config.table.redis_url readable: routers and controller refuse to start; write rediss://" -}}
{{- end -}}
{{- if and .Values.controller.enabled (gt (int .Values.controller.replicas) 1) (not (dig "table" "redis_url" "" $config)) (not .Values.existingConfig.name) -}}
{{- fail "controller.replicas is above 1, but the table does not go through Redis: routers would ask a standby for it; set redis.enabled or config.table.redis_url" -}}
{{- end -}}
{{- if and .Values.controller.enabled (gt (int .Values.controller.replicas) 1) (not .Values.existingConfig.name) -}}
{{- $own := $config.controller -}}
{{- $leastS := mulf 2.0 (addf (dig "election" "lease_s" 10 $own) (dig "election" "renew_every_s" 2 $own) (dig "tick_s" 5 $own)) -}}
{{- $ttlS := dig "table_ttl_s" 60 $own | float64 -}}
{{- if lt $ttlS $leastS -}}
{{- fail (printf "config.controller.table_ttl_s is %g and controller.replicas above 1: a table that is half spent would end before a standby has taken over; write %g or more" $ttlS $leastS) -}}
{{- end -}}
{{- end -}}
{{- $drainS := dig "router" "timeouts" "drain_s" 120 $config | float64 -}}
{{- if gt $drainS 3600.0 -}}
{{- fail (printf "config.router.timeouts.drain_s is %g: a drain is waited for up to 3600 s; write 3600 or less" $drainS) -}}
{{- end -}}
{{- if gt (float64 .Values.router.drainQuietSeconds) $drainS -}}
{{- fail (printf "router.drainQuietSeconds is %v, but a drain ends after config.router.timeouts.drain_s, %g: write less, or lengthen the drain" .Values.router.drainQuietSeconds $drainS) -}}
{{- end -}}
{{- if and .Values.agent.enabled (not .Values.agent.token.existingSecret) -}}
{{- fail "agent.enabled needs agent.token.existingSecret: other machines may read power with a token only; docs/how-to/agent.md" -}}
{{- end -}}
{{- $accounts := list -}}
{{- if and (has .Values.router.mode (list "gateway" "both")) .Values.router.serviceAccount.create -}}
{{- $accounts = append $accounts (include "wattroute.serviceAccountName" (dict "root" . "component" "router" "values" .Values.router)) -}}
{{- end -}}
{{- if and .Values.controller.enabled .Values.controller.serviceAccount.create -}}
{{- $accounts = append $accounts (include "wattroute.serviceAccountName" (dict "root" . "component" "controller" "values" .Values.controller)) -}}
{{- end -}}
{{- if ne (len $accounts) (len ($accounts | uniq)) -}}
{{- fail (printf "router.serviceAccount.name and controller.serviceAccount.name are both %q: one object cannot be made twice, and each has rights of its own; name them apart, or set one's create to false" (first $accounts)) -}}
{{- end -}}
{{- range $pool := ternary .Values.config.pools list .Values.controller.enabled -}}
{{- with $pool.engine_key_file -}}
{{- $file := . -}}
{{- $mounted := dict "router" false "controller" false -}}
{{- range $component := list "router" "controller" -}}
{{- $values := get $.Values $component -}}
{{- range concat $values.secrets $values.extraVolumeMounts -}}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" (toString .mountPath))) $file }}{{ $_ := set $mounted $component true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $mounted.router (not $mounted.controller) -}}
{{- fail (printf "config.pools: engine_key_file %s of %s is mounted into routers alone: the controller's canaries bear the key, too; name its Secret in controller.secrets with the same mountPath" $file $pool.name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $elsewhere := list -}}
{{- range .Values.config.pools -}}
{{- $where := ternary (dig "discovery" "namespace" $.Release.Namespace .) $.Release.Namespace (eq (dig "discovery" "kind" "" .) "kubernetes") -}}
{{- if ne $where $.Release.Namespace }}{{ $elsewhere = append $elsewhere $where }}{{ end -}}
{{- end -}}
{{- if and (has .Values.router.mode (list "sidecar" "both")) $elsewhere (eq (len $elsewhere) (len .Values.config.pools)) -}}
{{- fail (printf "router.mode is %s, but all pools are discovered in %s: a sidecar reads the ConfigMap of its own namespace; install the release there" .Values.router.mode ($elsewhere | uniq | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $service := .Values.router.service -}}
{{- if and $service.externalTrafficPolicy (eq $service.type "ClusterIP") -}}
{{- fail "router.service.externalTrafficPolicy is of Services that are reached from outside: set router.service.type to LoadBalancer or NodePort, or leave it empty" -}}
{{- end -}}
{{- if and $service.loadBalancerClass (ne $service.type "LoadBalancer") -}}
{{- fail "router.service.loadBalancerClass needs router.service.type: LoadBalancer" -}}
{{- end -}}
{{- if and (has .Values.router.mode (list "sidecar" "both")) .Values.engines.namespace (ne .Values.engines.namespace .Release.Namespace) -}}
{{- fail (printf "router.mode is %s, but engines.namespace is %q: a sidecar reads the ConfigMap of its own namespace; install the release there" .Values.router.mode .Values.engines.namespace) -}}
{{- end -}}
{{- if and (has .Values.router.mode (list "sidecar" "both")) (include "wattroute.discoveryNamespaces" . | fromYamlArray) (not .Values.router.sidecar.serviceAccountNames) .Values.rbac.create -}}
{{- fail (printf "router.mode is %s and pools are discovered: name the service accounts of the engines' pods in router.sidecar.serviceAccountNames, so that they may read EndpointSlices" .Values.router.mode) -}}
{{- end -}}
{{- end -}}
