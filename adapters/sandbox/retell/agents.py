"""Stand-in for Retell's agents: versions of which published ones never change.

Retell docs, Setup versioning for agents; Create draft agent version; Publish agent. That an agent keeps its response
engine once it has versions, and the words of these refusals, are as people met them. The fields are those of retell-sdk 6.
"""

from __future__ import annotations

from starlette.responses import Response

from adapters.sandbox.api import Asked, Json, Refusal, endpoint, new_id
from adapters.sandbox.carrier.addresses import web_url_fault
from adapters.sandbox.retell.org import BAD_FORMAT, RetellOrg, RetellPart, asked_version, page_of, pick_version

_VOICES = ("11labs-", "cartesia-", "custom_voice_", "minimax-", "openai-", "retell-")
_FIELDS = frozenset(
    "response_engine voice_id agent_name allow_dtmf_interruption allow_user_dtmf ambient_sound ambient_sound_volume"
    " backchannel_frequency backchannel_words begin_message_delay_ms boosted_keywords call_screening_option"
    " contact_memory_config custom_stt_config data_storage_retention_days data_storage_setting"
    " denoising_enhancement_level denoising_mode enable_backchannel enable_dnc_detection enable_dynamic_responsiveness"
    " enable_dynamic_voice_speed enable_expressive_mode end_call_after_silence_ms expressive_emotion_tags"
    " expressive_mode_prompt fallback_voice_ids guardrail_config handbook_config interruption_sensitivity"
    " is_transfer_agent ivr_option language max_call_duration_ms opt_in_signed_url pii_config post_call_analysis_data"
    " post_call_analysis_model post_session_tools pre_session_tools pronunciation_dictionary reminder_max_count"
    " reminder_trigger_ms responsiveness ring_duration_ms signed_url_expiration_ms stt_mode timezone user_dtmf_options"
    " version_description version_title vocab_specialization voice_model voice_speed voice_temperature voicemail_option"
    " volume webhook_events webhook_timeout_ms webhook_url".split()
)
_RANGES = {
    "max_call_duration_ms": (60_000, 7_200_000),
    "begin_message_delay_ms": (0, 5_000),
    "voice_speed": (0.5, 2),
    "end_call_after_silence_ms": (10_000, 7_200_000),
}


class Agents(RetellPart):
    operation = "assistants"

    def add(self, org: RetellOrg, body: Json) -> Json:
        agent_id = new_id("agent_", 28)
        memory = {"enable_update": False, "enable_read": True} | body.get("contact_memory_config", {})
        agent = {"language": "en-US", **body, "contact_memory_config": memory, "agent_id": agent_id, "version": 0}
        agent["is_published"] = False
        org.agents[agent_id] = [agent | self._touched()]
        return org.agents[agent_id][0]

    def publish(self, org: RetellOrg, agent: Json) -> None:
        for version in (agent, _llm_of(org, agent)):
            if version is not None:
                version["is_published"] = True

    @endpoint("POST", "/create-agent", status=201)
    def _create(self, org: RetellOrg, asked: Asked) -> Json:
        body = asked.json()
        engine = body.get("response_engine")
        if not isinstance(engine, dict) or not body.get("voice_id"):
            raise Refusal(400)
        _check(body)
        if engine.get("type") == "retell-llm":
            versions = org.llms.get(str(engine.get("llm_id")))
            if versions is None:
                raise Refusal(422)
            body = {**body, "response_engine": {"version": versions[-1]["version"], **engine}}
        return self.add(org, body)

    @endpoint("POST", "/v2/list-agents")
    def _list(self, org: RetellOrg, asked: Asked) -> Json:
        query = (asked.json().get("filter_criteria") or {}).get("query", "") if asked.raw else ""
        found = [
            {
                "agent_id": agent_id,
                "agent_name": versions[-1].get("agent_name") or "",
                "channel": "voice",
                "is_suspended": agent_id in org.suspended,
                "tags": {},
                "user_modified_timestamp": versions[-1]["last_modification_timestamp"],
            }
            for agent_id, versions in org.agents.items()
            if query.lower() in str(versions[-1].get("agent_name") or "").lower() or query in agent_id
        ]
        return page_of(found, "agent_id", asked.query)

    @endpoint("GET", "/get-agent/{id}")
    def _version(self, org: RetellOrg, asked: Asked) -> Json:
        return pick_version(asked.find(org.agents), asked_version(asked))

    @endpoint("GET", "/list-agent-versions/{id}")
    def _list_versions(self, org: RetellOrg, asked: Asked) -> Json:
        names = ("version", "is_published", "last_modification_timestamp", "base_version", "version_title")
        versions = [{name: one[name] for name in names if name in one} for one in asked.find(org.agents)]
        return page_of(versions, "version", asked.query)

    @endpoint("PATCH", "/update-agent/{id}")
    def _update(self, org: RetellOrg, asked: Asked) -> Json:
        draft, body = self._version(org, asked), asked.json()
        if draft["is_published"] and set(body) - {"version_title"}:
            raise Refusal(422, "Cannot update published agent other than version title")
        if "response_engine" in body and len(asked.find(org.agents)) > 1:
            raise Refusal(400, "Cannot update response engine after agent versions have been created")
        _check(body)
        draft.update(body, **self._touched())
        return draft

    @endpoint("POST", "/create-agent-version/{id}", status=201)
    def _create_version(self, org: RetellOrg, asked: Asked) -> Json:
        versions = asked.find(org.agents)
        base = pick_version(versions, asked.json().get("base_version"))
        changes: Json = {"version": len(versions), "base_version": base["version"], "is_published": False}
        llm = _llm_of(org, base)
        if llm is not None:
            of_llm = org.llms[llm["llm_id"]]
            of_llm.append(llm | {"version": len(of_llm), "is_published": False} | self._touched())
            changes["response_engine"] = base["response_engine"] | {"version": of_llm[-1]["version"]}
        kept = {name: value for name, value in base.items() if name != "version_title"}
        versions.append(kept | changes | self._touched())
        return versions[-1]

    @endpoint("POST", "/publish-agent-version/{id}")
    def _publish(self, org: RetellOrg, asked: Asked) -> Response:
        body = asked.json()
        version = body.get("version")
        if not isinstance(version, int) or set(body) - {"version", "version_title", "version_description"}:
            raise Refusal(400)
        agent = pick_version(asked.find(org.agents), version)
        if agent["is_published"]:
            raise Refusal(400, "The version is published already.")
        self.publish(org, agent)
        return Response()

    @endpoint("DELETE", "/delete-agent/{id}")
    def _delete(self, org: RetellOrg, asked: Asked) -> None:
        asked.pop(org.agents)


def _llm_of(org: RetellOrg, agent: Json) -> Json | None:
    """The version of the LLM that a version of an agent speaks with, while both are there."""
    engine = agent["response_engine"]
    versions = org.llms.get(str(engine.get("llm_id")))
    return None if versions is None else versions[int(engine.get("version") or 0)]


def _check(body: Json) -> None:
    if unknown := sorted(body.keys() - _FIELDS):
        raise Refusal(400, f"{BAD_FORMAT} ({unknown[0]})")
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or not least <= value <= most):
            raise Refusal(400, f"{BAD_FORMAT} ({name})")
    if body.get("webhook_url") and web_url_fault(str(body["webhook_url"])):
        raise Refusal(400, f"{BAD_FORMAT} (webhook_url)")
    if "voice_id" in body and not str(body["voice_id"]).startswith(_VOICES):
        raise Refusal(404, f"Cannot find requested voice {body['voice_id']}.")
    if body.get("language") == []:
        raise Refusal(400, f"{BAD_FORMAT} (language)")
