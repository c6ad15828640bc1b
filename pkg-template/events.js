// The event of each call that tracks one.
import { AmplitudeError } from './shared.js'

/** A text that a call needs. */
export function text(call, what, value) {
  if (typeof value !== 'string') throw new AmplitudeError(`${call}: ${what} must be a string`)
  return value
}

const REVENUE = {
  price: 'number',
  quantity: 'number',
  revenue: 'number',
  productId: 'string',
  revenueType: 'string',
  currency: 'string',
  receipt: 'string',
  receiptSig: 'string',
}

/** Each makes an object of its own of a call's arguments, with what only the caller knows. */
export const EVENTS = {
  track: (event, properties, fields) => {
    if (typeof event !== 'string') {
      if (event === null || typeof event !== 'object') throw new AmplitudeError('track: needs an event type or an event')
      return { ...event }
    }
    return properties == null ? { ...fields, event_type: event } : { ...fields, event_type: event, event_properties: properties }
  },
  identify: (operations) => ({ event_type: '$identify', user_properties: operations }),
  groupIdentify: (type, name, operations) => ({
    event_type: '$groupidentify',
    groups: { [text('groupIdentify', 'the group type', type)]: name },
    group_properties: operations,
  }),
  // As a property of the user and as a group of the event, as Amplitude's own SDKs do.
  setGroup: (type, name) => ({
    event_type: '$identify',
    groups: { [text('setGroup', 'the group type', type)]: name },
    user_properties: { $set: { [type]: name } },
  }),
  revenue: (revenue) => {
    const { properties, ...fields } = revenue ?? {}
    if (fields.price === undefined && fields.revenue === undefined) throw new AmplitudeError('revenue: has neither a price nor a revenue')
    const event = { ...properties, $quantity: 1 }
    for (const [name, value] of Object.entries(fields)) {
      if (!Object.hasOwn(REVENUE, name)) throw new AmplitudeError(`revenue.${name}: is no field of revenue`)
      if (typeof value !== REVENUE[name]) throw new AmplitudeError(`revenue.${name}: must be a ${REVENUE[name]}`)
      event[`$${name}`] = value
    }
    return { event_type: 'revenue_amount', event_properties: event }
  },
}
