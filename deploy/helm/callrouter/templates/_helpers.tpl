{{- define "callrouter.name" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains .Chart.Name .Release.Name }}{{ .Release.Name }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name }}
{{- end }}
{{- end }}

{{- /* The component that calls reach has the release's name; the others add theirs. Takes root and component. */}}
{{- define "callrouter.componentName" -}}
{{- $name := include "callrouter.name" .root | trunc 40 | trimSuffix "-" -}}
{{- if has .component (list "serve" "fallback") }}{{ $name }}{{ else }}{{ $name }}-{{ .component }}{{ end }}
{{- end }}

{{- define "callrouter.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "callrouter.labels" -}}
{{ include "callrouter.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- /* What runs in this mode, with names in a list. */}}
{{- define "callrouter.components" -}}
{{- if eq .Values.mode "service" }}["serve", "worker"]{{ else if eq .Values.mode "fallback" }}["fallback"]{{ else }}[]{{ end }}
{{- end }}

{{- /* The secret settings of a component: the fallback gets its keys and nothing else. */}}
{{- define "callrouter.secrets" -}}
{{- if eq .component "fallback" }}{{ pick .root.Values.secrets "CALLROUTER_FALLBACK_KEYS" | toYaml }}
{{- else }}{{ .root.Values.secrets | toYaml }}
{{- end }}
{{- end }}

{{- /* A pod's spec. Takes root, component, args, and `claim` if a volume claim provides the data directory. */}}
{{- define "callrouter.pod" -}}
{{- $values := .root.Values }}
{{- $own := index $values .component }}
{{- $secrets := include "callrouter.secrets" . | fromYaml }}
{{- $answers := ne .component "migrate" -}}
automountServiceAccountToken: false
# Otherwise Kubernetes sets CALLROUTER_PORT for a Service named callrouter.
enableServiceLinks: false
{{- with $values.serviceAccountName }}
serviceAccountName: {{ . }}
{{- end }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $answers }}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "callrouter.selector" $ | nindent 8 }}
  {{- end }}
{{- else }}
restartPolicy: Never
{{- end }}
terminationGracePeriodSeconds: 40
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: {{ .component }}
    {{- with $values.image }}
    image: {{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.root.Chart.AppVersion }}{{ end }}
    imagePullPolicy: {{ .pullPolicy }}
    {{- end }}
    args: {{ toJson .args }}
    env:
      - {name: CALLROUTER_HOST, value: 0.0.0.0}
      - {name: CALLROUTER_PORT, value: "8080"}
      - {name: CALLROUTER_OPS_PORT, value: "8081"}
      - {name: CALLROUTER_DATA_DIR, value: /var/lib/callrouter}
      {{- range $name, $_ := $secrets }}
      - {name: {{ $name }}_FILE, value: /run/secrets/callrouter/{{ $name }}}
      {{- end }}
      {{- range $name, $value := $values.settings }}
      - name: {{ $name }}
        # A dollar sign is doubled, because Kubernetes would replace $(NAME).
        value: {{ $value | replace "$" "$$" | quote }}
      {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    resources:
      {{- toYaml $own.resources | nindent 6 }}
    {{- if $answers }}
    ports:
      {{- if ne .component "worker" }}
      - {name: http, containerPort: 8080}
      {{- end }}
      - {name: ops, containerPort: 8081}
    startupProbe:
      httpGet: {path: /livez, port: ops}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /livez, port: ops}
      periodSeconds: 10
      timeoutSeconds: 3
      failureThreshold: 3
    readinessProbe:
      httpGet: {path: /readyz, port: ops}
      periodSeconds: 3
      timeoutSeconds: 3
      failureThreshold: 2
    {{- end }}
    volumeMounts:
      - {name: data, mountPath: /var/lib/callrouter}
      - {name: tmp, mountPath: /tmp}
      - {name: secrets, mountPath: /run/secrets/callrouter, readOnly: true}
volumes:
  {{- if not .claim }}
  - name: data
    emptyDir:
      sizeLimit: 1Gi
  {{- end }}
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        {{- range $name, $from := $secrets }}
        - secret:
            name: {{ $from.secret }}
            items:
              - {key: {{ $from.key | quote }}, path: {{ $name }}}
        {{- end }}
{{- end }}

{{- /* The metadata and spec of a pod that a workload makes. */}}
{{- define "callrouter.template" -}}
metadata:
  labels:
    {{- include "callrouter.labels" . | nindent 4 }}
  {{- with (index .root.Values .component).podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "callrouter.pod" . | nindent 2 }}
{{- end }}
