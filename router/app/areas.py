"""Makes each object of keys, assistants, numbers, messages and tenants, once, and collects those that the API uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.carrier import Account, Carrier
from adapters.receivers import Receivers
from adapters.registry import Providers
from crypto import Keyring
from router.accounts import Accounts
from router.addresses import Addresses
from router.api.idempotency import Replies
from router.assistants.linking import ClientAssistants
from router.assistants.plan import SwitchPlans
from router.assistants.removing import Removal
from router.assistants.site import Sites
from router.assistants.voices import ProviderVoices
from router.assistants.work import SyncWork
from router.calls.claims import Caps
from router.calls.preview import Previews
from router.clock import Clock
from router.dialling import Dialling
from router.events.endpoints import Endpoints
from router.events.feed import EventFeed
from router.keys.checks import KeyChecks
from router.keys.letters import KeyLetters
from router.keys.rounds import KeyRounds
from router.keys.saving import Keys
from router.keys.shown import KeyViews
from router.keys.webhook_tokens import WebhookTokens
from router.mail import Confirmations
from router.messages.call_recordings import CallRecordings
from router.messages.mail import MessageMail
from router.messages.recordings import Recordings
from router.messages.retention import Retention
from router.moving import Moving
from router.numbers.buying import Purchases
from router.numbers.carrier_shop import CarrierShop
from router.numbers.changing import NumberChanges
from router.numbers.configuration import FallbackUrls
from router.numbers.credentials import CarrierCredentials
from router.numbers.drift import DriftWatch
from router.numbers.fallbacks import Fallbacks
from router.numbers.former import FormerRegistrations
from router.numbers.jobs import NumberJobs
from router.numbers.leftover_keys import LeftoverKeys
from router.numbers.market import Market
from router.numbers.native import NativeNumbers, NativeShop
from router.numbers.provider_keys import ProviderKeys
from router.numbers.redirects import Redirects
from router.numbers.registrations import Registrations
from router.numbers.release import Release
from router.numbers.shops import Shops
from router.numbers.subaccounts import Subaccounts
from router.numbers.taking_over import TakingOver
from router.numbers.trying import TrialCalls
from router.own_address import OwnAddress
from router.routing.dispatch import Dispatcher
from router.store.changes import Changes
from router.store.pool import Database
from router.tenants.agencies import Agencies
from router.tenants.alert_settings import AlertChoices
from router.tenants.alerts import AlertWatch
from router.tenants.clients import Clients
from router.tenants.health import HealthViews
from router.tenants.invitations import Invitations
from router.tenants.tokens import Tokens
from router.vault import Vault
from router.wanted import Places, WantedAssistants, Wirings


@dataclass(frozen=True, slots=True)
class Areas:
    """For the composition root and tests. Code that needs one of these gets that one, never the whole."""

    accounts: Accounts
    address: OwnAddress
    agencies: Agencies
    alert_watch: AlertWatch
    changes: Changes
    client_assistants: ClientAssistants
    clients: Clients
    confirmations: Confirmations
    drift: DriftWatch
    fallbacks: Fallbacks
    health: HealthViews
    invitations: Invitations
    key_checks: KeyChecks
    key_letters: KeyLetters
    key_rounds: KeyRounds
    key_views: KeyViews
    keys: Keys
    market: Market
    message_mail: MessageMail
    moving: Moving
    number_changes: NumberChanges
    number_jobs: NumberJobs
    plans: SwitchPlans
    purchases: Purchases
    recordings: Recordings
    call_recordings: CallRecordings
    registrations: Registrations
    retention: Retention
    subaccounts: Subaccounts
    sync_work: SyncWork
    taking_over: TakingOver
    webhook_tokens: WebhookTokens
    tokens: Tokens
    trial_calls: TrialCalls
    voices: ProviderVoices
    wanted: WantedAssistants


def make_areas(
    *,
    database: Database,
    vault: Vault,
    fallback_keyring: Keyring,
    addresses: Addresses,
    carrier: Carrier,
    listening_carrier: Carrier,
    listening_providers: Providers,
    platform: Account | None,
    providers: Providers,
    dialling: Dialling,
    purchases_per_day: int,
    mails_an_hour: int,
    sends_mail: bool,
    clock: Clock,
) -> Areas:
    names = tuple(providers)
    address = OwnAddress(database, addresses.public_url, addresses.configured, clock)
    changes = Changes(database, clock)
    accounts, provider_keys = Accounts(database.settings, vault, platform), ProviderKeys(database, vault, providers)
    wirings = Wirings(vault, addresses)
    places = Places(wirings, providers)
    wanted = WantedAssistants(places, names, clock)
    subaccounts = Subaccounts(database, carrier, accounts, clock)
    credentials = CarrierCredentials(database, accounts, carrier, providers)
    leftover_keys = LeftoverKeys(database, accounts, carrier, address, clock)
    former = FormerRegistrations(database, provider_keys, clock)
    redirects = Redirects(database, providers, vault.keyring, wanted, clock)
    registrations = Registrations(
        database=database,
        providers=providers,
        provider_keys=provider_keys,
        credentials=credentials,
        former=former,
        redirects=redirects,
        carrier=carrier,
        dialling=dialling,
        clock=clock,
    )
    natives = NativeNumbers(
        database=database,
        providers=providers,
        provider_keys=provider_keys,
        wirings=wirings,
        dialling=dialling,
    )
    fallback_urls = FallbackUrls(fallback_keyring, addresses, dialling)
    fallbacks = Fallbacks(
        carrier=carrier,
        fallback_urls=fallback_urls,
        database=database,
        clock=clock,
        natives=natives,
        accounts=accounts,
        address=address,
    )
    release = Release(
        database=database,
        former=former,
        subaccounts=subaccounts,
        accounts=accounts,
        carrier=carrier,
        provider_keys=provider_keys,
        providers=providers,
        address=address,
    )
    carrier_shop = CarrierShop(database, accounts, subaccounts, carrier, fallback_urls, clock)
    shops = Shops(
        carrier=carrier_shop,
        native={name: NativeShop(name, natives, clock) for name, one in providers.items() if one.shop is not None},
        providers=providers,
    )
    purchases = Purchases(changes, accounts, shops, wanted, purchases_per_day)
    drift = DriftWatch(database, clock, accounts, subaccounts, redirects, carrier)
    sites = Sites(database, places, clock)
    retention = Retention(clock=clock, database=database, accounts=accounts, carrier=carrier)
    call_recordings = CallRecordings(database, vault, listening_providers)
    sync_work = SyncWork(sites, registrations, wanted)
    removal = Removal(sites, registrations)
    confirmations = Confirmations(changes, vault.keyring, addresses, mails_an_hour, clock)
    checks = KeyChecks(providers=providers, carrier=carrier, vault=vault)
    views = KeyViews(database, wirings, providers)
    health = HealthViews(database, providers, sends_mail, clock)
    return Areas(
        accounts=accounts,
        address=address,
        agencies=Agencies(changes, providers, wanted, retention, release, leftover_keys, removal, confirmations),
        alert_watch=AlertWatch(database, health, addresses, clock),
        changes=changes,
        client_assistants=ClientAssistants(changes, sites, wanted, registrations, providers),
        clients=Clients(changes, names, wanted, fallbacks, release, dialling, confirmations),
        confirmations=confirmations,
        drift=drift,
        fallbacks=fallbacks,
        health=health,
        invitations=Invitations(changes, addresses),
        key_checks=checks,
        key_letters=KeyLetters(database, addresses, providers),
        key_rounds=KeyRounds(database, checks, wanted, clock),
        key_views=views,
        keys=Keys(changes, vault, providers, checks, platform, wanted, release, leftover_keys, views),
        market=Market(database, carrier_shop, providers),
        message_mail=MessageMail(database=database, clock=clock, accounts=accounts, carrier=carrier),
        moving=Moving(database, addresses, drift, fallbacks, sync_work, wanted, clock),
        number_changes=NumberChanges(
            changes, fallback_urls, fallbacks, release, wanted, dialling, redirects, provider_keys
        ),
        number_jobs=NumberJobs(drift, purchases, registrations, fallbacks, leftover_keys),
        plans=SwitchPlans(sites, names),
        purchases=purchases,
        recordings=Recordings(changes, accounts, listening_carrier, retention, call_recordings),
        call_recordings=call_recordings,
        registrations=registrations,
        retention=retention,
        subaccounts=subaccounts,
        sync_work=sync_work,
        taking_over=TakingOver(changes, accounts, carrier, fallback_urls, redirects, wanted),
        webhook_tokens=WebhookTokens(changes, vault.keyring, wanted, views),
        tokens=Tokens(changes),
        trial_calls=TrialCalls(changes, accounts, carrier, dialling),
        voices=ProviderVoices(database, providers, vault),
        wanted=wanted,
    )


def api_parts(
    areas: Areas,
    *,
    keyring: Keyring,
    providers: Providers,
    dispatcher: Dispatcher,
    caps: Caps,
    feed: EventFeed,
    receivers: Receivers,
) -> dict[Any, Any]:
    """What the API's operations use, by type. `dispatcher` and `caps` are those of live calls, for `explain`."""
    database, clock = areas.changes.database, areas.changes.clock
    parts = (
        areas.agencies,
        areas.client_assistants,
        areas.clients,
        areas.health,
        areas.invitations,
        areas.key_views,
        areas.keys,
        areas.market,
        areas.number_changes,
        areas.plans,
        areas.purchases,
        areas.recordings,
        areas.call_recordings,
        areas.taking_over,
        areas.webhook_tokens,
        areas.tokens,
        areas.trial_calls,
        areas.voices,
        AlertChoices(areas.changes, keyring, receivers, areas.health.sends_mail),
        Endpoints(areas.changes, keyring, receivers),
        Previews(database, providers, dispatcher, caps, clock),
        Replies(database, keyring, clock),
        areas.address,
        database,
        feed,
    )
    return {type(part): part for part in parts} | {Clock: clock}
