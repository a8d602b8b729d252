{{- define "wattroute.name" -}}
{{- default "wattroute" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
At most 41 characters: "-controller" and the hash of a StatefulSet's revision must fit into a label. Services are named by
it, whose names begin with a letter and have no dots, unlike those of releases.
*/}}
{{- define "wattroute.fullname" -}}
{{- $name := include "wattroute.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full = .Values.fullnameOverride | default $full | replace "." "-" | trunc 41 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]" $full) -}}
{{- fail (printf "objects would be named %q, but names of Services begin with a letter; set fullnameOverride" $full) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{/* Labels that selectors go by: dict "root" $ "component" NAME. They never change within a release. */}}
{{- define "wattroute.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wattroute.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Labels of everything: dict "root" $ "component" NAME. */}}
{{- define "wattroute.labels" -}}
{{ include "wattroute.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wattroute
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object: dict "root" $ "component" NAME "name" NAME "namespace" NAME "annotations" MAP of its own; the last two may be left out. */}}
{{- define "wattroute.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "wattroute.labels" . | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) (.root.Values.commonAnnotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image: dict "root" $ "image" VALUES. A digest wins over a tag. */}}
{{- define "wattroute.image" -}}
{{- $registry := .image.registry | default .root.Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end -}}
{{- .image.repository -}}
{{- if .image.digest -}}
@{{ .image.digest }}
{{- else -}}
:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* What a pod's spec has whatever it runs: dict "root" $ "component" NAME "values" VALUES. */}}
{{- define "wattroute.podSettings" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if hasKey .values "topologySpreadConstraints" }}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  {{- $selector := include "wattroute.selectorLabels" . }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Annotations and labels of a pod: dict "root" $ "component" NAME "values" VALUES "checksum" TEXT. */}}
{{- define "wattroute.podMetadata" -}}
labels:
  {{- include "wattroute.labels" . | nindent 2 }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (dict) (.values.podAnnotations | default dict) }}
{{- with .checksum }}{{ $_ := set $annotations "checksum/config" . }}{{ end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Where a pod runs, for programs and logs. */}}
{{- define "wattroute.downwardEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end -}}

{{/* What a component shows Redis: dict "root" $ "username" NAME "key" KEY of its password; both may be empty. */}}
{{- define "wattroute.redisEnv" -}}
{{- $auth := .root.Values.redis.auth -}}
{{- with .username }}
- {name: REDIS_USERNAME, value: {{ . | quote }}}
{{- end }}
{{- with $auth.existingSecret }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: {{ $.key | default $auth.key }}}
{{- with $auth.sentinelKey }}
- name: REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ $auth.existingSecret }}, key: {{ . }}}
{{- end }}
{{- end }}
{{- end -}}

{{/* Name of the service account of a component: dict "root" $ "component" NAME "values" VALUES. */}}
{{- define "wattroute.serviceAccountName" -}}
{{- if .values.serviceAccount.create -}}
{{- .values.serviceAccount.name | default (printf "%s-%s" (include "wattroute.fullname" .root) .component) -}}
{{- else -}}
{{- .values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}
