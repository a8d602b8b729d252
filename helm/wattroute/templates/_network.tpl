{{/* Port of an address: dict "url" TEXT "default" NUMBER. */}}
{{- define "wattroute.portOf" -}}
{{- regexFind "[0-9]*$" (regexFind ":[0-9]+$" (urlParse .url).host) | default .default -}}
{{- end -}}

{{/* Ports of the engines, as a YAML list: those of engines.ports, and those that config.pools tells by number. */}}
{{- define "wattroute.enginePorts" -}}
{{- $ports := list -}}
{{- range .Values.engines.ports }}{{ $ports = append $ports (int .) }}{{ end -}}
{{- range .Values.config.pools -}}
{{- $port := dig "discovery" "port" "" . | toString -}}
{{- if regexMatch "^[0-9]+$" $port }}{{ $ports = append $ports (int $port) }}{{ end -}}
{{- range .instances -}}
{{- $url := kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "url") | toString -}}
{{- if regexMatch "^https?://" $url -}}
{{- $ports = append $ports (include "wattroute.portOf" (dict "url" $url "default" (hasPrefix "https:" $url | ternary 443 80)) | int) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml ($ports | uniq) -}}
{{- end -}}

{{/* Whether engines may have ports that the chart is not told: of your file, or of pools that are discovered by a port's name. */}}
{{- define "wattroute.hasUntoldPorts" -}}
{{- $untold := and .Values.existingConfig.name (not .Values.config.pools) -}}
{{- range .Values.config.pools -}}
{{- if and .discovery (not (regexMatch "^[0-9]+$" (dig "discovery" "port" "" . | toString))) }}{{ $untold = true }}{{ end -}}
{{- end -}}
{{- if $untold }}true{{ end -}}
{{- end -}}

{{/*
Namespaces of the engines, as a YAML list: those in which pools are discovered; of listed instances, whose addresses tell
none, engines.namespace.
*/}}
{{- define "wattroute.engineNamespaces" -}}
{{- $listed := .Values.engines.namespace | default .Release.Namespace -}}
{{- $found := list -}}
{{- if or .Values.engines.namespace (not .Values.config.pools) }}{{ $found = append $found $listed }}{{ end -}}
{{- range .Values.config.pools -}}
{{- $discovered := eq (dig "discovery" "kind" "" .) "kubernetes" -}}
{{- $found = append $found ($discovered | ternary (dig "discovery" "namespace" $.Release.Namespace .) $listed) -}}
{{- end -}}
{{- toYaml (concat $found .Values.rbac.discoveryNamespaces | uniq | sortAlpha) -}}
{{- end -}}

{{/* Ports of routers elsewhere, which config.signals.router_urls names, as a YAML list. */}}
{{- define "wattroute.otherRouterPorts" -}}
{{- $ports := list -}}
{{- range dig "signals" "router_urls" list .Values.config -}}
{{- $ports = append $ports (include "wattroute.portOf" (dict "url" . "default" (hasPrefix "https:" . | ternary 443 80)) | int) -}}
{{- end -}}
{{- toYaml ($ports | uniq) -}}
{{- end -}}

{{/* Ports of a Redis of the user's own and of its Sentinels, as a YAML list; none where the configuration names neither. */}}
{{- define "wattroute.redisPorts" -}}
{{- $ports := .Values.networkPolicy.redis.ports -}}
{{- $url := dig "table" "redis_url" "" .Values.config -}}
{{- if and (not $ports) (regexMatch "^rediss?://" $url) -}}
{{- $ports = list (include "wattroute.portOf" (dict "url" $url "default" 6379) | int) -}}
{{- range dig "table" "sentinels" list .Values.config -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}
{{- end -}}
{{- end -}}
{{- toYaml ($ports | uniq) -}}
{{- end -}}
