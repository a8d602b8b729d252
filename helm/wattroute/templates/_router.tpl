{{/* The router's container, without what tells a sidecar from a gateway: dict "root" $ "readiness" PATH. */}}
{{- define "wattroute.router.container" -}}
{{- $values := .root.Values.router -}}
{{- $config := include "wattroute.config" .root | fromYaml -}}
name: wattroute-router
image: {{ include "wattroute.image" (dict "root" .root "image" $values.image) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
command: [wattroute-router]
args: {{ concat (list "--config" "/etc/wattroute/wattroute.yaml" "--log-level" $values.logLevel) $values.extraArgs | toJson }}
ports:
  - {name: router, containerPort: {{ $config.router.port }}, protocol: TCP}
  - {name: router-admin, containerPort: {{ $config.router.admin_port }}, protocol: TCP}
env:
  {{- include "wattroute.downwardEnv" .root | nindent 2 }}
  {{- include "wattroute.redisEnv" (dict "root" .root "username" .root.Values.redis.auth.username) | nindent 2 }}
  {{- with $values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  httpGet: {path: /healthz, port: router-admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: router-admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet: {path: {{ .readiness }}, port: router-admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  preStop:
    exec: {command: [wattroute-router, drain, --config, /etc/wattroute/wattroute.yaml, --quiet-s, {{ $values.drainQuietSeconds | toString | quote }}]}
securityContext:
  {{- toYaml .root.Values.securityContext | nindent 2 }}
{{- with $values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - {name: {{ .prefix }}config, mountPath: /etc/wattroute, readOnly: true}
  - {name: {{ .prefix }}tmp, mountPath: /tmp}
  {{- if $values.tls.existingSecret }}
  - {name: {{ .prefix }}tls, mountPath: /etc/wattroute-tls, readOnly: true}
  {{- end }}
  {{- if $values.adminToken.existingSecret }}
  - {name: {{ .prefix }}admin-token, mountPath: /etc/wattroute-admin, readOnly: true}
  {{- end }}
  {{- if .root.Values.redis.tls.existingSecret }}
  - {name: {{ .prefix }}redis-ca, mountPath: /etc/wattroute-redis, readOnly: true}
  {{- end }}
  {{- if .token }}
  - {name: {{ .prefix }}api-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
  {{- end }}
  {{- range $n, $secret := $values.secrets }}
  - {name: {{ $.prefix }}secret-{{ $n }}, mountPath: {{ $secret.mountPath | quote }}, readOnly: true}
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The volumes of that container: dict "root" $ "prefix" TEXT "token" BOOL. */}}
{{- define "wattroute.router.volumes" -}}
{{- $prefix := .prefix -}}
{{- $volumes := include "wattroute.configVolume" .root | fromYamlArray -}}
{{- $volumes = append $volumes (dict "name" "tmp" "emptyDir" (dict "sizeLimit" "64Mi")) -}}
{{- with .root.Values.router.tls.existingSecret -}}
{{- $volumes = append $volumes (dict "name" "tls" "secret" (dict "secretName" .)) -}}
{{- end -}}
{{- with .root.Values.router.adminToken -}}
{{- if .existingSecret -}}
{{- $volumes = append $volumes (dict "name" "admin-token" "secret" (dict "secretName" .existingSecret "items" (list (dict "key" .key "path" "token")))) -}}
{{- end -}}
{{- end -}}
{{- with .root.Values.redis.tls.existingSecret -}}
{{- $volumes = append $volumes (dict "name" "redis-ca" "secret" (dict "secretName" . "items" (list (dict "key" "ca.crt" "path" "ca.crt")))) -}}
{{- end -}}
{{- range $n, $secret := .root.Values.router.secrets -}}
{{- $volumes = append $volumes (dict "name" (printf "secret-%d" $n) "secret" (dict "secretName" $secret.existingSecret)) -}}
{{- end -}}
{{- if .token -}}
{{- $volumes = append $volumes (include "wattroute.apiTokenVolume" . | fromYaml) -}}
{{- end -}}
{{- range $volumes -}}
{{- $_ := set . "name" (printf "%s%s" $prefix .name) -}}
{{- end -}}
{{- toYaml (concat $volumes .root.Values.router.extraVolumes) -}}
{{- end -}}

{{/* What an API client needs, mounted into one container and not into the engine's beside it. */}}
{{- define "wattroute.apiTokenVolume" -}}
name: api-token
projected:
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end -}}

{{/*
The router as a native sidecar, for `initContainers` of a pod that runs an engine. From a chart of your own that depends
on this one: {{ include "wattroute.router.sidecar" .Subcharts.wattroute | nindent 8 }}

Its readiness says that it serves, not that the fleet can: were the pod unready for want of an instance, no pod would be
the first to become one.
*/}}
{{- define "wattroute.router.sidecar" -}}
{{- $token := not (empty (include "wattroute.discoveryNamespaces" . | fromYamlArray)) -}}
{{- $container := include "wattroute.router.container" (dict "root" . "readiness" "/healthz" "prefix" "wattroute-" "token" $token) | fromYaml -}}
{{- toYaml (list (merge (dict "restartPolicy" "Always") $container)) -}}
{{- end -}}

{{/* The sidecar's volumes, for `volumes` of that pod. */}}
{{- define "wattroute.router.sidecarVolumes" -}}
{{- $token := not (empty (include "wattroute.discoveryNamespaces" . | fromYamlArray)) -}}
{{- include "wattroute.router.volumes" (dict "root" . "prefix" "wattroute-" "token" $token) -}}
{{- end -}}

{{/*
The engine's preStop hook, for `lifecycle` of its container: hooks of all containers start at once, and this one waits
until the router beside it has drained, so that the engine gets SIGTERM only then.
*/}}
{{- define "wattroute.router.enginePreStop" -}}
{{- $config := include "wattroute.config" . | fromYaml -}}
preStop:
  httpGet:
    path: /drained?wait_s={{ include "wattroute.drainSeconds" . }}&quiet_s={{ .Values.router.drainQuietSeconds }}
    port: {{ $config.router.admin_port }}
{{- end -}}

{{/* router.timeouts.drain_s in whole seconds. */}}
{{- define "wattroute.drainSeconds" -}}
{{- dig "timeouts" "drain_s" 120 (include "wattroute.config" . | fromYaml).router | int -}}
{{- end -}}

{{/* Longer than the drain and what follows it, for terminationGracePeriodSeconds. */}}
{{- define "wattroute.graceSeconds" -}}
{{- add (include "wattroute.drainSeconds" . | int) 30 -}}
{{- end -}}

{{/*
The patch that puts the sidecar into a Deployment or a StatefulSet which runs engines. It never has `replicas`. A hook has one
handler: null takes away the engine's own.
*/}}
{{- define "wattroute.router.patch" -}}
{{- $hook := include "wattroute.router.enginePreStop" . | fromYaml -}}
{{- range list "exec" "sleep" "tcpSocket" }}{{ $_ := set $hook.preStop . nil }}{{ end -}}
spec:
  template:
    metadata:
      labels:
        wattroute/router: {{ include "wattroute.fullname" . | quote }}
    spec:
      terminationGracePeriodSeconds: {{ add (include "wattroute.graceSeconds" .) .Values.router.sidecar.engineShutdownSeconds }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      initContainers:
        {{- include "wattroute.router.sidecar" . | nindent 8 }}
      containers:
        - name: {{ .Values.engines.container }}
          lifecycle:
            {{- toYaml $hook | nindent 12 }}
      volumes:
        {{- include "wattroute.router.sidecarVolumes" . | nindent 8 }}
{{- end -}}

{{/*
Labels of the pods that have a router, by their kind: the gateway's own, which drain when sidecars have taken over, and the
engines' with the sidecar's label.
*/}}
{{- define "wattroute.routerSelectors" -}}
router:
  {{- include "wattroute.selectorLabels" (dict "root" . "component" "router") | nindent 2 }}
{{- if has .Values.router.mode (list "sidecar" "both") }}
sidecar:
  wattroute/router: {{ include "wattroute.fullname" . | quote }}
{{- end }}
{{- end -}}

{{/* Labels of the pods that serve clients: the gateway's as long as there is one. */}}
{{- define "wattroute.routerSelector" -}}
{{- $selectors := include "wattroute.routerSelectors" . | fromYaml -}}
{{- toYaml (eq .Values.router.mode "sidecar" | ternary $selectors.sidecar $selectors.router) -}}
{{- end -}}

{{/* Whether the public port takes nobody who shows no certificate. */}}
{{- define "wattroute.asksForCertificates" -}}
{{- $tls := (include "wattroute.config" . | fromYaml).router.tls -}}
{{- if kindIs "map" $tls -}}
{{- if and $tls.client_ca_file (ne ($tls.client_certificates | default "required") "optional") }}true{{ end -}}
{{- end -}}
{{- end -}}
